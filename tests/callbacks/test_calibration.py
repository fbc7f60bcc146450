"""The temperature of a run: of which samples it is, and that all that reads the run has the same one."""

import csv
import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy.special import softmax

from cmc.callbacks.calibration import calibration
from cmc.data.loader import Batch
from cmc.errors import UserError
from cmc.functional.agreement import agreement_tables
from cmc.functional.calibration import temperature_of
from cmc.inference.trained import load
from cmc.runs.report import read_report
from tests.inference.test_trained import METHODS, features_of


def rows(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("method", METHODS)
def test_a_run_is_calibrated_on_its_held_out_samples_and_says_so(method, finished_runs):
    run = finished_runs[method]
    told = json.loads((run / "metrics.json").read_text())["calibration"]
    assert told["of"] == "held-out"
    held = rows(run / "assignments_holdout.csv")
    alone = [[row[name] for name in row if name.startswith("cluster_")] for row in held]
    assert told["agreement"] == pytest.approx(np.mean([a == b for a, b in alone]))

    trained = load(run)
    assert trained.temperature == told["temperature"]
    each = torch.cat([part.each for part in trained.assign(features_of(trained))], 1).double()
    index = [int(row["index"]) for row in held]
    assert temperature_of(each[:, index], told["agreement"], len(held)) == pytest.approx(told["temperature"], rel=1e-3)
    for part in ("", "_holdout"):
        for row in rows(run / f"assignments{part}.csv"):
            logits = np.log(each[:, int(row["index"])].numpy())
            expected = softmax(logits / told["temperature"], axis=1)[:, int(row["cluster"])].mean()
            assert float(row["confidence_calibrated"]) == pytest.approx(expected, abs=1e-4)


class Stub:
    """A method of two modalities, which says what it is told to."""

    modalities, n_clusters, device = ("a", "b"), 3, torch.device("cpu")

    def __init__(self, each, tables=None):
        self.each, self.unseen = each, lambda: tables

    def evaluating(self):
        return torch.no_grad()

    def assign_each(self, batch):
        return self.each


def data(held=None):
    passes = SimpleNamespace(spaced=lambda n: Batch((torch.zeros(50, 1),) * 2, torch.arange(50)))
    return SimpleNamespace(held_out=held, pass_over=lambda held: passes)


def test_without_held_out_samples_those_set_aside_say_how_modalities_agree():
    each = torch.randn(2, 50, 3, generator=torch.Generator().manual_seed(0)).mul(6).softmax(2)
    aside = torch.tensor([[0, 0, 1, 1, 2, 2, 2, 2, 0, 1], [1, 1, 2, 2, 0, 0, 0, 1, 1, 0]])  # of other names, two astray
    found = calibration(Stub(each, agreement_tables(aside, 3)), data())
    assert found == {"temperature": pytest.approx(temperature_of(each, 0.8, 10)), "agreement": 0.8, "of": "set aside"}
    alone = calibration(Stub(each), data())
    share = (each[0].argmax(1) == each[1].argmax(1)).float().mean().item()
    assert (alone["of"], alone["agreement"]) == ("training", pytest.approx(share))
    few = calibration(Stub(each), data(held=SimpleNamespace(n_samples=2)))
    assert few == alone, "fewer held-out samples than clusters tell nothing"


def test_modalities_without_assignments_of_their_own_have_no_such_confidence(composed, tmp_path):
    from cmc.training.fit import train

    small = ["data=synthetic", "data.n_samples=60", "data.dims=[4,3]", "data.n_clusters=3", "trainer.accelerator=cpu"]
    report = train(composed("method=kmeans", *small, "~callbacks.figures", "~callbacks.gallery"), str(tmp_path))
    assert "calibration" not in report
    assert "confidence_calibrated" not in rows(tmp_path / "assignments.csv")[0]
    trained = load(tmp_path)
    assert trained.temperature is None
    with pytest.raises(UserError, match=r"KMeans: has no calibrated confidence; predict_proba gives the raw one"):
        trained.confidence(features_of(trained))


@pytest.mark.parametrize("wrong", [0, -1.0, "2", None, float("nan"), True])
def test_a_temperature_that_is_none_is_refused(wrong, finished_runs, tmp_path):
    report = json.loads((finished_runs["dmim"] / "metrics.json").read_text())
    (tmp_path / "metrics.json").write_text(json.dumps(report | {"calibration": {"temperature": wrong}}))
    with pytest.raises(UserError, match=r"damaged, or written by another version"):
        read_report(tmp_path)
