"""Runs on data with gaps from end to end: what is written, scored again, predicted, and fitted by the estimator."""

import csv
import json

import numpy as np
import pytest

from cmc import CrossModalClustering
from cmc import evaluate as evaluating
from cmc import predict as predicting
from cmc import run as command
from cmc.data.datasets.synthetic import Synthetic
from cmc.data.gaps import take_away
from cmc.training.fit import train
from tests.conftest import SMALL, TINY

HALF = ["data.missing=0.5", "data.missing_seed=1"]


def rows(path):
    with path.open() as file:
        return list(csv.DictReader(file))


def missing_rows():
    """N x M, whether a sample of the tiny data has a modality."""
    features = take_away(Synthetic(n_samples=150, dims=[6, 5], n_clusters=3).read().features, 0.5, 1)
    return np.stack([~np.isnan(x).any(1) for x in features.values()], 1)


@pytest.mark.parametrize("method", ["cmmc", "cmmc_released", "cmmc_stable", "dmim", "dmim_paper", "dmim_released"])
def test_every_preset_trains_on_gaps(method, tiny_run, tmp_path):
    report = tiny_run(*HALF, "data.holdout=0.2", method=method)
    assert report["data"] == "synthetic (50% incomplete)"
    there = missing_rows()
    assert report["features"]["lacking"] == {f"modality_{m}": int((~there[:, m]).sum()) for m in range(2)}
    assert set(report["label_free"]) >= {"agreement", "agreement_held_out", "quality", "entropy"}
    assert report["calibration"]["temperature"] > 0
    seen = 0
    for part in ("", "_holdout"):
        for row in rows(tmp_path / "run" / f"assignments{part}.csv"):
            own = [int(row[f"cluster_modality_{m}"]) for m in range(2)]
            present = there[int(row["index"])]
            assert [k >= 0 for k in own] == present.tolist()
            if present.sum() == 1:
                assert int(row["cluster"]) == max(own)
            seen += 1
    assert seen == 150
    assert np.isfinite(np.load(tmp_path / "run" / "embeddings.npy")).all()


@pytest.mark.parametrize("method", ["kmeans", "gmm", "cca", "spectral", "agglomerative"])
def test_baselines_are_called_what_they_are(method, composed, tmp_path):
    settings = [each for each in TINY if not each.startswith("method.")]
    report = train(composed(f"method={method}", *settings, *HALF, "callbacks.figures=null"), str(tmp_path))
    assert report["method"] == f"{method} (mean-filled)"
    assert report["scores"]["acc"] > 1 / 3


def test_a_run_is_scored_again_as_it_was_and_what_was_dropped_besides(commanded, tmp_path):
    """By its own data; trained on complete samples alone it is scored on all that there are, too."""
    words = ["method=dmim", *SMALL["dmim"], *TINY, *HALF, "callbacks.figures=null", "callbacks.gallery=null"]
    for name, more in (("use", []), ("drop", ["data.incomplete=drop"])):
        assert commanded(command, *words, *more, f"hydra.run.dir={name}")[0] == 0
        status, _, error = commanded(evaluating, f"run={name}")
        assert status == 0, error
        trained, again = (
            json.loads((tmp_path / name / f"{file}.json").read_text()) for file in ("metrics", "evaluation")
        )
        assert again["scores"] == trained["scores"]
        assert again["label_free"]["agreement"] == pytest.approx(trained["label_free"]["agreement"])
    assert trained["features"]["n_samples"] == int(missing_rows().all(1).sum())
    status, _, error = commanded(evaluating, "run=drop", "data.incomplete=use", "out=all")
    assert status == 0, error
    whole = json.loads((tmp_path / "all" / "evaluation.json").read_text())
    assert (whole["n_samples"], whole["own_data"]) == (150, False)
    assert commanded(predicting, "run=use", "out=all.csv")[0] == 0
    written, predicted = rows(tmp_path / "use" / "assignments.csv"), rows(tmp_path / "all.csv")
    assert [row["cluster"] for row in predicted] == [row["cluster"] for row in written]


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["data.missing=1"], "data.missing: 1 given; it must be a share of at least 0 and below 1"),
        (["data.missing=0.999"], "no training sample has 'modality_0' together with 'modality_1'"),
        (["data.incomplete=keep"], "data.incomplete: 'keep' given; it must be one of use, drop, refuse"),
        ([*HALF, "data.incomplete=refuse"], "75 of 150 samples lack a modality, such as row"),
        (["data.missing_seed=-1"], "data.missing_seed: -1 given; it must be a whole number from 0"),
    ],
)
def test_what_cannot_be_ends_in_one_line(words, line, commanded):
    status, _, error = commanded(command, "method=cmmc", *SMALL["cmmc"], *TINY, *words, "hydra.run.dir=run")
    assert status == 2
    assert line in error


def test_figures_are_drawn_and_clusters_shown(tiny_run, tmp_path):
    tiny_run(*HALF, figures=True)
    assert (tmp_path / "run" / "figures" / "embedding.png").exists()
    assert (tmp_path / "run" / "figures" / "confidence.png").exists()


@pytest.mark.parametrize("method", ["cmmc", "dmim"])
def test_the_estimator_is_fitted_to_rows_of_nan(method):
    rng, truth = np.random.default_rng(0), np.arange(120) % 3
    X = {"img": rng.normal(size=(120, 6)) + 8 * np.eye(3, 6)[truth], "txt": rng.normal(size=(120, 5))}
    X["txt"] += 8 * np.eye(3, 5)[truth]
    X["img"][::4] = np.nan
    X["txt"][1::4] = np.nan
    settings = {key.partition(".")[2].replace(".", "__"): eval(value) for key, value in
                (each.split("=") for each in SMALL[method][:4] if "scheduler" not in each)}  # fmt: skip
    model = CrossModalClustering(method, 3, max_phase_epochs=5, batch_size=32, trainer__accelerator="cpu", **settings)
    model.fit(X)
    assert model.labels_.shape == (120,)
    assert np.array_equal(model.predict(X), model.labels_)
    assert model.transform(X) == pytest.approx(model.embedding_, abs=1e-5)
    X["img"][7, 2] = np.nan
    with pytest.raises(ValueError, match=r"modality 'img', row 7, column 2 is nan"):
        model.fit(X)
    with pytest.raises(ValueError, match=r"data__incomplete: drop given"):
        model.set_params(data__incomplete="drop").fit(X)
