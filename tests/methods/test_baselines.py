"""The baselines against scikit-learn called directly on the same scaled features, through whole runs."""

import csv
import json
import os
import re
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch
from hydra.utils import instantiate
from sklearn.cluster import AgglomerativeClustering, KMeans, SpectralClustering
from sklearn.cross_decomposition import CCA
from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score
from sklearn.mixture import GaussianMixture
from sklearn.neighbors import kneighbors_graph
from threadpoolctl import threadpool_limits

from cmc.config.messages import as_ending
from cmc.data.loader import Batch
from cmc.errors import UserError
from cmc.methods.baselines import base as baseline
from cmc.runs.history import read_history
from cmc.training.fit import train
from tests.methods.toy import passes
from tests.quick import interpreter

ROOT = Path(__file__).resolve().parents[2]
SYNTHETIC = ["data=synthetic", "data.n_samples=400", "data.dims=[12,9]", "data.n_clusters=4"]


def directly(method, x, parts, k, seed):
    """Labels from scikit-learn alone."""
    if method == "kmeans":
        return KMeans(k, n_init=10, random_state=seed).fit_predict(x)
    if method == "spectral":
        model = SpectralClustering(k, affinity="nearest_neighbors", n_neighbors=10, n_init=10, random_state=seed)
        return model.fit_predict(x)
    if method == "agglomerative":
        return AgglomerativeClustering(k).fit_predict(x)
    if method == "gmm":
        return GaussianMixture(k, random_state=seed).fit_predict(x.astype(np.float64))
    pair = [part.astype(np.float64)[:, part.std(0) > 0] for part in parts]
    found = CCA(k - 1, max_iter=20_000, tol=1e-13).fit(*pair).transform(*pair)
    common = sum(scores / scores.std(0) for scores in found)
    return KMeans(k, n_init=10, random_state=seed).fit_predict((common / common.std(0)).astype(np.float32))


def scaled(x):
    """Min-max scaling, in one line of NumPy."""
    x = np.asarray(x, dtype=np.float32)
    low, high = x.min(0).astype(np.float64), x.max(0).astype(np.float64)
    spread = np.where(high > low, high - low, 1)
    return (x - low.astype(np.float32)) / spread.astype(np.float32)


def read(folder, name="assignments"):
    with (folder / f"{name}.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    return np.array([int(row["cluster"]) for row in rows]), np.array([row["label"] for row in rows])


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Train a baseline into a folder of its own."""

    def start(composed, method, *overrides):
        folder = tmp_path_factory.mktemp(method)
        lean = ["callbacks.figures=null", "trainer.accelerator=cpu", "evaluate_every=1"]
        return train(composed(f"method={method}", *lean, *overrides), str(folder)), folder

    return start


def modalities(composed, *overrides):
    from hydra.utils import instantiate

    return list(instantiate(composed(*overrides).data).read().features.values())


@pytest.mark.parametrize("data", [["data=digits"], SYNTHETIC])
@pytest.mark.parametrize("method", ["kmeans", "spectral", "cca", "agglomerative", "gmm"])
def test_scores_are_those_of_scikit_learn_run_directly(run, composed, method, data):
    report, folder = run(composed, method, *data, "seed=3")
    clusters, labels = read(folder)
    parts = [scaled(x) for x in modalities(composed, *data)]
    with threadpool_limits(1):
        expected = directly(method, np.hstack(parts), parts, report["n_clusters"], 3)
    assert adjusted_rand_score(expected, clusters) == 1
    assert report["scores"]["nmi"] == pytest.approx(normalized_mutual_info_score(labels, expected), abs=1e-9)
    assert report["scores"]["ari"] == pytest.approx(adjusted_rand_score(labels, expected), abs=1e-9)
    assert (report["phases"], report["n_parameters"]) == ({"fit": 1}, 0)
    (row,) = read_history(folder)
    assert float(row["acc"]) == pytest.approx(report["scores"]["acc"])
    assert np.isfinite(float(row["loss"]))


def test_one_modality_alone_is_named_and_clustered(run, composed):
    report, folder = run(composed, "kmeans", "data=digits", "method.input=left")
    left, _ = modalities(composed, "data=digits")
    expected = KMeans(10, n_init=10, random_state=0).fit_predict(scaled(left))
    assert adjusted_rand_score(expected, read(folder)[0]) == 1
    assert report["method"] == "kmeans (left)"
    np.testing.assert_allclose(np.load(folder / "embeddings.npy"), scaled(left), atol=1e-6)


def test_the_objectives_are_what_they_are_said_to_be(run, composed):
    x = np.hstack([scaled(part) for part in modalities(composed, *SYNTHETIC)])

    def reached(method, *overrides):
        _, folder = run(composed, method, *SYNTHETIC, *overrides)
        return float(read_history(folder)[0]["loss"]), read(folder)[0]

    loss, clusters = reached("kmeans")
    means = np.stack([x[clusters == k].mean(0) for k in range(4)])
    assert loss == pytest.approx(((x - means[clusters]) ** 2).sum(1).mean(), rel=1e-5)
    loss, _ = reached("gmm", "method.covariance=diag")
    model = GaussianMixture(4, covariance_type="diag", random_state=0).fit(x.astype(np.float64))
    assert loss == pytest.approx(-model.lower_bound_, rel=1e-9)
    loss, clusters = reached("spectral", "method.affinity=rbf", "method.gamma=2.0")
    edges = np.exp(-2 * ((x[:, None] - x[None]).astype(np.float64) ** 2).sum(2))
    cuts = [edges[clusters == k][:, clusters != k].sum() / edges[clusters == k].sum() for k in range(4)]
    assert loss == pytest.approx(sum(cuts), rel=1e-5)
    loss, clusters = reached("agglomerative", "method.linkage=single", "method.n_neighbors=20")
    model = AgglomerativeClustering(4, linkage="single", connectivity=kneighbors_graph(x, 20)).fit(x)
    assert adjusted_rand_score(model.labels_, clusters) == 1
    within = [np.sort(np.linalg.norm(a - x[clusters == k], axis=1))[1:2] for k in range(4) for a in x[clusters == k]]
    assert loss >= max(x.item() for x in within if x.size) - 1e-4, "nobody joined later than the last merge"


@pytest.mark.parametrize("method", ["kmeans", "gmm", "cca"])
def test_held_out_samples_are_assigned_as_scikit_learn_predicts(run, composed, method):
    report, folder = run(composed, method, *SYNTHETIC, "data.holdout=0.25", "data.scaling=none")
    x = np.hstack(modalities(composed, *SYNTHETIC)).astype(np.float32)
    with (folder / "assignments_holdout.csv").open(newline="") as file:
        held = [int(row["index"]) for row in csv.DictReader(file)]
    trained = np.setdiff1d(np.arange(400), held)
    if method == "cca":
        x = np.empty((400, 3), dtype=np.float32)
        x[trained], x[held] = np.load(folder / "embeddings.npy"), np.load(folder / "embeddings_holdout.npy")
        assert x[trained].std(0) == pytest.approx(np.ones(3), abs=1e-4)
    model = GaussianMixture(4, random_state=0) if method == "gmm" else KMeans(4, n_init=10, random_state=0)
    model.fit(x[trained].astype(np.float64 if method == "gmm" else np.float32))
    clusters, labels = read(folder, "assignments_holdout")
    assert (clusters == model.predict(x[held].astype(np.float64 if method == "gmm" else np.float32))).all()
    assert report["holdout"]["nmi"] == pytest.approx(normalized_mutual_info_score(labels, clusters), abs=1e-9)


def test_a_mixtures_confidences_are_its_responsibilities(run, composed):
    _, folder = run(composed, "gmm", *SYNTHETIC, "method.covariance=tied")
    x = np.hstack([scaled(part) for part in modalities(composed, *SYNTHETIC)]).astype(np.float64)
    expected = GaussianMixture(4, covariance_type="tied", random_state=0).fit(x).predict_proba(x).max(1)
    with (folder / "assignments.csv").open(newline="") as file:
        written = [float(row["confidence"]) for row in csv.DictReader(file)]
    np.testing.assert_allclose(written, expected, atol=1e-4)


@pytest.mark.parametrize("method", ["spectral", "gmm"])
def test_a_finished_run_resumes_to_itself_from_its_checkpoint(run, composed, method):
    _, folder = run(composed, method, *SYNTHETIC)
    before = (folder / "assignments.csv").read_bytes()
    (folder / "assignments.csv").unlink()
    train(composed(f"resume={folder}"), str(folder), [f"resume={folder}"])
    assert (folder / "assignments.csv").read_bytes() == before


def test_samples_that_were_not_fitted_are_refused():
    torch.manual_seed(0)
    from cmc.methods.baselines.sklearn import Agglomerative

    method = Agglomerative(dims={"a": 3, "b": 2}, n_clusters=2, phases={"fit": {"epochs": 1}})
    batch = Batch((torch.randn(20, 3), torch.randn(20, 2)), torch.arange(20))
    method.refresh("fit", 0, passes(batch, 20))
    half = Batch(tuple(x[10:] for x in batch.modalities), batch.index[10:])
    assert torch.equal(method.assign(half), method.assign(batch)[10:])
    for other in (
        Batch(batch.modalities, batch.index + 1),
        Batch(tuple(x.flip(0) for x in batch.modalities), batch.index),
    ):
        with pytest.raises(UserError, match="not fitted to"):
            method.assign(other)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["method=spectral", "data.holdout=0.2"], r"^data\.holdout: 0\.2 given; Spectral cannot assign .* give 0"),
        (["method=agglomerative", "data.holdout=0.2"], r"^data\.holdout: 0\.2 given; Agglomerative"),
        (
            ["method=kmeans", "method.input=top"],
            r"^method\.input: 'top' .* one of concatenation, modality_0",
        ),
        (["method=kmeans", "method.restarts=0"], r"^method\.restarts: 0 given"),
        (
            ["method=kmeans", "method.phases.fit.epochs=5"],
            r"^method\.phases: a baseline has one phase, fit",
        ),
        (["method=spectral", "method.affinity=cosine"], r"^method\.affinity: 'cosine' given; .*nearest_neighbors, rbf"),
        (
            ["method=spectral", "method.n_neighbors=401"],
            r"^method\.n_neighbors: 401 .* give at most 400$",
        ),
        (
            ["method=agglomerative", "method.n_neighbors=400"],
            r"^method\.n_neighbors: 400 .* give at most 399$",
        ),
        (["method=agglomerative", "method.linkage=wards"], r"^method\.linkage: 'wards' given"),
        (["method=gmm", "method.covariance=none"], r"^method\.covariance: 'none' given; .*full, tied, diag, spherical"),
        (["method=cca", "method.components=10"], r"^method\.components: 10 given; .*share at most 9"),
        (["method=cca", "data.dims=[500,9]"], r"^method\.regularization: 0 .* modality_0 has 500 columns for 400 sam"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_written(composed, tmp_path, overrides, message):
    try:
        train(composed(*SYNTHETIC, *overrides), str(tmp_path))
    except Exception as error:
        end = as_ending(error)
        assert end is not None
        assert re.search(message, str(end)), end
    else:
        pytest.fail("accepted")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("choice", "way_out"),
    [
        (["method=spectral", "method.affinity=rbf"], "nearest_neighbors"),
        (["method=agglomerative"], "method.n_neighbors=10"),
    ],
)
def test_more_samples_than_memory_for_them_are_refused(composed, tmp_path, monkeypatch, choice, way_out):
    monkeypatch.setattr(baseline, "free_memory", lambda: 1e6)
    with pytest.raises(UserError, match=f"needs about 0 GiB of memory for 400 samples, 0 GiB are free; .*{way_out}"):
        train(composed(*choice, *SYNTHETIC), str(tmp_path))


def test_a_mixture_that_cannot_be_fitted_says_what_to_do(composed, tmp_path, monkeypatch):
    few = ["data=synthetic", "data.n_samples=30", "data.dims=[40,40]", "method=gmm", "method.regularization=0"]
    with pytest.raises(UserError, match=r"^method\.regularization: .* give a larger one"):
        train(composed(*few, "callbacks.figures=null"), str(tmp_path))


SLOW = [pytest.param(method, marks=pytest.mark.slow) for method in ("kmeans", "cca", "agglomerative", "gmm")]


@pytest.mark.parametrize("method", ["spectral", *SLOW])
def test_two_processes_assign_as_one(run, composed, tmp_path, method):
    report, folder = run(composed, method, *SYNTHETIC)
    small = [*SYNTHETIC, "callbacks.figures=null", "trainer.accelerator=cpu", "trainer.devices=2"]
    done = subprocess.run(
        [interpreter(), "-m", "cmc.run", f"method={method}", *small, f"hydra.run.dir={tmp_path / 'two'}"],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    two = json.loads((tmp_path / "two" / "metrics.json").read_text())
    assert (two["processes"], two["scores"]) == (2, report["scores"])
    assert two["label_free"] == pytest.approx(report["label_free"])
    for name in ("assignments.csv", "embeddings.npy"):
        assert (tmp_path / "two" / name).read_bytes() == (folder / name).read_bytes()


@pytest.mark.parametrize(("n", "regularization", "warned"), [(9, 0.0, True), (10, 0.0, False), (9, 0.1, False)])
def test_cca_warns_where_widths_together_reach_the_samples(tmp_path, caplog, n, regularization, warned):
    """From there on some canonical correlation is 1 whatever the data are."""
    from cmc.functional.canonical import canonical_projections
    from cmc.methods.baselines.sklearn import CCA as Baseline
    from tests.conftest import compose_with

    rng = np.random.default_rng(0)
    np.savez(tmp_path / "x.npz", a=rng.normal(size=(n, 5)), b=rng.normal(size=(n, 4)))
    given = ["data=files", f"data.root={tmp_path / 'x.npz'}", "data.n_clusters=2", "data.scaling=none"]
    config = compose_with("method=cca", *given, f"method.regularization={regularization}")
    data = instantiate(config.data)
    data.load()
    method = instantiate(config.method, dims=data.dims, n_clusters=2)
    assert isinstance(method, Baseline)
    with caplog.at_level("WARNING", logger="cmc.methods"):
        method.accept(data)
    assert ("9 columns together for 9 samples" in caplog.text) == warned
    if not regularization:
        x = [torch.from_numpy(array).double() for array in data.read().features.values()]
        one, two = ((a - a.mean(0)) @ w for a, w in zip(x, canonical_projections(x, 1, 0.0), strict=True))
        assert (float(torch.corrcoef(torch.cat([one, two], 1).T)[0, 1].abs()) > 1 - 1e-9) == warned
