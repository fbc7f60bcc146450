"""The baselines put to use: ``predict``, ``evaluate`` and the estimator, against scikit-learn on scaled features."""

import csv
import json
import pickle

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.cluster import KMeans, SpectralClustering
from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score
from sklearn.mixture import GaussianMixture

from cmc import CrossModalClustering, evaluate, predict
from cmc.data.datasets.synthetic import Synthetic
from tests.conftest import TINY, compose_with

INDUCTIVE, METHODS = ("kmeans", "gmm"), ("kmeans", "gmm", "spectral")
ONE = ("kmeans", "gmm", "spectral", "cca")  # of modality_0 alone, which every one of them can label by itself
A, B = NAMES = ("modality_0", "modality_1")
REFUSED = "Spectral cannot assign samples that it was not fitted to: take a run of kmeans, cca or gmm"


def rows(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def features(**settings):
    return Synthetic(n_samples=150, dims=[6, 5], n_clusters=3, **settings).read().features


def model_of(method):
    """scikit-learn's own, with the settings of our yaml and seed 0."""
    return {
        "kmeans": KMeans(3, n_init=10, random_state=0),
        "gmm": GaussianMixture(3, random_state=0),
        "spectral": SpectralClustering(3, affinity="nearest_neighbors", n_init=10, random_state=0),
    }[method]


def scaled(method, arrays, training):
    """All modalities side by side, as the training rows are scaled to mean 0 and variance 1."""
    parts = [(x - known.mean(0)) / known.std(0) for x, known in zip(arrays, training, strict=True)]
    return np.hstack(parts).astype(np.float64 if method == "gmm" else np.float32)


class Run:
    """A finished run, and what scikit-learn makes of the same rows."""

    def __init__(self, method, folder, *more):
        from cmc.training.fit import train

        folder.mkdir(parents=True)
        holdout = 0.2 if method in INDUCTIVE else 0
        tiny = [word for word in TINY if not word.startswith("method.")]
        words = [*tiny, f"data.holdout={holdout}", "data.scaling=standard", "~callbacks.figures", *more]
        train(compose_with(f"method={method}", *words), str(folder))
        self.method, self.folder, self.features = method, folder, features()
        self.written = {int(row["index"]): row for part in folder.glob("assignments*.csv") for row in rows(part)}
        self.kept = np.array([int(row["index"]) for row in rows(folder / "assignments.csv")])
        self.held = np.setdiff1d(np.arange(150), self.kept)

    def scaled(self, arrays):
        """Any rows, N x 11."""
        return scaled(self.method, arrays.values(), [x[self.kept] for x in self.features.values()])

    def directly(self, arrays):
        """scikit-learn's clusters of any rows, fitted to the training rows."""
        model = model_of(self.method).fit(self.scaled(self.features)[self.kept])
        return model, model.predict(self.scaled(arrays))


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """Method -> its run, each trained once; ``kmeans of modality_0`` and the like are of one modality."""
    found = {}

    def get(method, *more):
        key = (method, *more)
        if key not in found:
            found[key] = Run(method, tmp_path_factory.mktemp("baselines") / method, *more)
        return found[key]

    return get


@pytest.fixture
def predicted(commanded, tmp_path_factory):
    """Label arrays; returns the table."""

    def call(run, arrays, *more):
        folder = tmp_path_factory.mktemp("labelled")
        np.savez(folder / "new.npz", **arrays)
        words = [f"run={run.folder}", f"data.root={folder / 'new.npz'}", f"out={folder / 'new.csv'}"]
        status, _, line = commanded(predict, *words, *more)
        assert status == 0, line
        return rows(folder / "new.csv")

    return call


@pytest.fixture
def refused(commanded, tmp_path):
    """Label arrays that cannot be; returns the line, after which nothing is there but the arrays."""

    def call(run, arrays, *more):
        np.savez(tmp_path / "new.npz", **arrays)
        status, out, line = commanded(predict, f"run={run.folder}", "data.root=new.npz", "out=new.csv", *more)
        assert (status, out) == (2, "")
        assert [path.name for path in tmp_path.iterdir()] == ["new.npz"]
        return line

    return call


def reports(run, tmp_path):
    """What the run wrote of itself, and what ``evaluate`` wrote."""
    return json.loads((run.folder / "metrics.json").read_text()), json.loads((tmp_path / "evaluation.json").read_text())


def column(table, name):
    return [row[name] for row in table]


def clusters(table):
    return np.array(column(table, "cluster"), dtype=int)


@pytest.mark.parametrize("method", INDUCTIVE)
def test_held_out_rows_get_what_the_run_wrote_and_scikit_learn_says(method, finished, predicted):
    run = finished(method)
    assert len(run.held) == 30
    arrays = {name: x[run.held] for name, x in run.features.items()}
    table = predicted(run, arrays, "probabilities=true")
    for name in ("cluster", "confidence"):
        assert column(table, name) == [run.written[i][name] for i in run.held], name
    model, expected = run.directly(arrays)
    np.testing.assert_array_equal(clusters(table), expected)
    said = np.eye(3)[expected] if method == "kmeans" else model.predict_proba(run.scaled(arrays))
    found = np.array([[float(row[f"probability_{k}"]) for k in range(3)] for row in table])
    np.testing.assert_allclose(found, said, atol=2e-5)


@pytest.mark.parametrize("method", INDUCTIVE)
def test_other_rows_are_labelled_and_scored_as_scikit_learn_says(method, finished, predicted, commanded, tmp_path):
    run = finished(method)
    other = Synthetic(n_samples=90, dims=[6, 5], n_clusters=3, generator_seed=7).read()
    _, expected = run.directly(other.features)
    assert len(set(expected)) > 1
    np.testing.assert_array_equal(clusters(predicted(run, other.features)), expected)
    words = [f"run={run.folder}", "out=.", "data.generator_seed=7", "data.n_samples=90"]
    assert commanded(evaluate, *words)[0] == 0
    report = json.loads((tmp_path / "evaluation.json").read_text())
    assert (report["own_data"], report["n_samples"]) == (False, 90)
    assert report["scores"]["nmi"] == pytest.approx(normalized_mutual_info_score(other.labels, expected))
    assert report["scores"]["ari"] == pytest.approx(adjusted_rand_score(other.labels, expected))


@pytest.mark.parametrize("method", METHODS)
def test_a_run_s_own_scores_come_out_again(method, finished, commanded, tmp_path):
    run = finished(method)
    assert commanded(evaluate, f"run={run.folder}", "out=.")[0] == 0
    first, again = reports(run, tmp_path)
    for key in ("scores", "label_free", "method", "data", "seed"):
        assert again[key] == first[key], key
    assert again.get("holdout") == first.get("holdout")
    assert ("holdout" in again) == (method in INDUCTIVE)
    assert (again["own_data"], again["n_samples"]) == (True, len(run.kept))


def test_a_partition_labels_the_rows_that_it_was_fitted_to_and_no_others(
    finished, predicted, refused, commanded, tmp_path
):
    run = finished("spectral")
    expected = model_of("spectral").fit_predict(run.scaled(run.features))
    table = predicted(run, run.features)
    assert adjusted_rand_score(expected, clusters(table)) == 1
    assert column(table, "cluster") == [run.written[i]["cluster"] for i in range(150)]
    first = predicted(run, {name: x[:40] for name, x in run.features.items()})
    assert column(first, "cluster") == column(table, "cluster")[:40]
    others = {
        "moved": {name: x[1:] for name, x in run.features.items()},
        "one more": {name: np.vstack([x, x[:1]]) for name, x in run.features.items()},
        "one of them changed": {
            name: np.where(np.arange(150)[:, None] == 77, x + 1, x) for name, x in run.features.items()
        },
        "new": features(generator_seed=7),
    }
    for arrays in others.values():
        assert refused(run, arrays) == f"method: {REFUSED}"
    status, _, line = commanded(evaluate, f"run={run.folder}", "out=scores", "data.generator_seed=7")
    assert (status, line) == (2, f"method: {REFUSED}")
    assert not (tmp_path / "scores").exists()


@pytest.mark.parametrize("method", METHODS)
def test_all_modalities_together_take_none_away(method, finished, refused, commanded, tmp_path):
    run = finished(method)
    told = r"assigns from all modalities together (modality_0, modality_1); row {} lacks one of them: give data where"
    assert told.format(0) in refused(run, {A: run.features[A]})
    gone = np.where(np.arange(150)[:, None] == 9, np.nan, run.features[B])
    assert told.format(9) in refused(run, {A: run.features[A], B: gone})
    status, _, line = commanded(evaluate, f"run={run.folder}", "out=scores", f"missing=[{B}]")
    assert status == 2
    assert told.format(0) in line
    assert not (tmp_path / "scores").exists()


@pytest.mark.parametrize("method", ONE)
def test_a_baseline_of_one_modality_needs_that_one_alone(method, finished, predicted, refused, commanded, tmp_path):
    run = finished(method, f"method.input={A}")
    both, alone = predicted(run, run.features), predicted(run, {A: run.features[A]})
    assert alone == both
    assert column(both, "cluster") == [run.written[i]["cluster"] for i in range(150)]
    assert predicted(run, run.features, f"missing=[{B}]") == both
    gaps = np.where(np.arange(150)[:, None] % 3 == 0, np.nan, run.features[B])
    assert predicted(run, {A: run.features[A], B: gaps}) == both
    told = f"assigns from {A} alone; row {{}} lacks it: give data where none does"
    assert refused(run, {B: run.features[B]}).endswith(told.format(0))
    assert refused(run, run.features, f"missing=[{A}]").endswith(told.format(0))
    gaps = np.where(np.arange(150)[:, None] == 9, np.nan, run.features[A])
    assert refused(run, {A: gaps, B: run.features[B]}).endswith(told.format(9))
    assert commanded(evaluate, f"run={run.folder}", "out=.", f"missing=[{B}]")[0] == 0
    first, again = reports(run, tmp_path)
    assert again["missing"] == {B: 150}
    for key in ("scores", "label_free"):
        assert again[key] == first[key], key
    assert again.get("holdout") == first.get("holdout")


def test_canonical_variates_of_all_modalities_need_all_of_them(finished, refused):
    run = finished("cca")
    assert refused(run, {A: run.features[A]}).startswith("CCA assigns from all modalities together")


@pytest.mark.parametrize("method", METHODS)
def test_the_estimator_is_scikit_learn_s_clustering(method, tmp_path):
    X, other = features(), {name: x[:40] for name, x in features(generator_seed=7).items()}
    model = CrossModalClustering(method, n_clusters=3, data__scaling="standard").fit(X)
    x, directly = scaled(method, X.values(), X.values()), model_of(method)
    expected = directly.fit_predict(x)
    assert adjusted_rand_score(expected, model.labels_) == 1
    np.testing.assert_allclose(model.embedding_, x, atol=1e-5)
    np.testing.assert_array_equal(model.transform(X), model.embedding_)
    model.save(tmp_path / "saved")
    copies = [pickle.loads(pickle.dumps(model)), CrossModalClustering.load(tmp_path / "saved"), clone(model).fit(X)]
    for one in (model, *copies):
        np.testing.assert_array_equal(one.predict(X), model.labels_)
        np.testing.assert_array_equal(one.labels_, model.labels_)
    said = directly.predict_proba(x) if method == "gmm" else np.eye(3)[model.labels_]
    np.testing.assert_allclose(model.predict_proba(X), said, atol=2e-5)
    assert model.score(X, np.array(["cat", "dog", "fox"])[expected]) == 1
    with pytest.raises(ValueError, match=r"assigns from all modalities together .* row 0 lacks one of them"):
        model.predict([X[A], None])
    if method == "spectral":
        with pytest.raises(ValueError, match=REFUSED):
            model.predict(other)
    else:
        np.testing.assert_array_equal(
            model.predict(other), directly.predict(scaled(method, other.values(), X.values()))
        )


@pytest.mark.parametrize("method", ONE)
def test_an_estimator_of_one_modality_needs_that_one_alone(method, finished):
    run = finished(method, f"method.input={A}")
    model = CrossModalClustering.load(run.folder)
    assert (model.method, model.get_params()["input"]) == (method, A)
    x = run.features
    np.testing.assert_array_equal(model.predict([x[A], None]), model.labels_)
    np.testing.assert_array_equal(model.labels_, [int(run.written[i]["cluster"]) for i in range(150)])
    np.testing.assert_array_equal(model.transform({A: x[A]}), model.embedding_)
    for call in (model.predict, model.transform):
        with pytest.raises(ValueError, match="row 0 lacks"):
            call({B: x[B]})
