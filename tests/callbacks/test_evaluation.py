"""What is measured along the way, with labels and without."""

import math

import numpy as np
import pytest
import torch
from scipy.stats import entropy
from sklearn.metrics import normalized_mutual_info_score, silhouette_score

from cmc.callbacks import evaluation
from cmc.callbacks.evaluation import Tally
from cmc.functional.separation import assignment_entropy
from cmc.runs.summary import agreement_in_words, doubt_in_words
from tests.methods.toy import Toy, ToyData


class Split(Toy):
    """Each modality with an assignment of its own."""

    def assign_each(self, batch):
        return torch.stack([head(x).softmax(1) for head, x in zip(self.heads, batch.modalities, strict=True)])


class Spread(Toy):
    """Assignments turn about the middle of the features, so that samples fall into several clusters."""

    def __init__(self, *arguments, **settings):
        super().__init__(*arguments, **settings)
        for head in self.heads:
            torch.nn.init.normal_(head.weight, std=5)
            head.bias.data = -head.weight.data.sum(1) / 2


def tallied(kind, **settings):
    torch.manual_seed(0)
    data = ToyData(n_clusters=3, **settings)
    data.load()
    method = kind(data.dims, 3, {"second": {"epochs": 1}})
    tally, each = Tally(method, data.n_classes, data.spaced), []
    for batch in data.pass_over():
        for part in batch.chunks(7):
            tally.add(part, *method.assignments(part), data.labels)
            each.append(method.assign_each(part))
    return tally, each, data


@pytest.mark.parametrize("labelled", [True, False])
def test_agreement_and_balance_need_no_labels(labelled):
    tally, each, _ = tallied(Split, labelled=labelled)
    clusters = torch.cat([x.argmax(2) for x in each], 1).numpy()
    shares = [np.bincount(x, minlength=3) / 30 for x in clusters]
    balance = np.mean([-sum(s * math.log(s) for s in x if s) / math.log(3) for x in shares])
    agreed = normalized_mutual_info_score(*clusters)
    measured = tally.label_free()
    assert measured["agreement"] == pytest.approx(agreed, abs=1e-9)
    assert measured["balance"] == pytest.approx(balance, abs=1e-9)
    assert measured["quality"] == pytest.approx(agreed * balance, abs=1e-9)
    assert (tally.scores() is not None) == labelled


def test_quality_is_that_of_samples_which_training_has_not_seen():
    torch.manual_seed(0)
    data = ToyData(n=60, n_clusters=3, holdout=0.4)
    data.load()
    method = Split(data.dims, 3, {"second": {"epochs": 1}})
    method.refresh = lambda *_: None
    measured, clusters = evaluation.measures(method, data), {}
    for held in (False, True):
        (batch,) = data.pass_over(held)
        clusters[held] = method.assign_each(batch).argmax(2).numpy()
    seen, unseen = (normalized_mutual_info_score(*clusters[held]) for held in (False, True))
    balance = np.mean([entropy(np.bincount(x, minlength=3)) / math.log(3) for x in clusters[True]])
    assert measured["agreement"] == pytest.approx(seen, abs=1e-9)
    assert measured["agreement_held_out"] == pytest.approx(unseen, abs=1e-9)
    assert measured["gap"] == pytest.approx(seen - unseen, abs=1e-9)
    assert measured["quality"] == pytest.approx(unseen * balance, abs=1e-9)


@pytest.mark.parametrize(("seen", "unseen", "says"), [(0.73, 0.015, True), (0.9, 0.8, False)])
def test_the_closing_table_says_whether_agreement_carries_over(seen, unseen, says):
    words = agreement_in_words({"agreement": seen, "agreement_held_out": unseen})
    assert words.startswith(
        f"agreement of the modalities: {seen:.2f} on training samples, {unseen:.2f} on held-out ones"
    )
    assert ("it does not carry over" in words) == says
    assert agreement_in_words({"agreement": seen}) == agreement_in_words({}) == ""


def test_the_closing_table_says_where_no_clusters_were_found():
    assert doubt_in_words({"entropy": 0.97}).startswith("assignments are nearly uniform (entropy 0.97 of log K)")
    assert doubt_in_words({"entropy": 0.9}) == doubt_in_words({}) == ""


def test_a_method_without_assignments_of_each_modality_has_no_agreement():
    assert set(tallied(Spread)[0].label_free()) == {"entropy", "silhouette"}


@pytest.mark.parametrize("labelled", [True, False])
def test_silhouette_and_entropy_need_no_labels(labelled, monkeypatch):
    """Against scikit-learn and SciPy, on all samples and on evenly spaced ones."""
    tally, _, data = tallied(Spread, labelled=labelled)
    (batch,) = data.pass_over()
    with tally._method.evaluating():
        p = tally._method.assign(batch).numpy().astype(np.float64)
        points = tally._method.embed(batch).numpy()
        measured = tally.label_free()
        monkeypatch.setattr(evaluation, "_POINTS", 11)
        fewer = tally.label_free()
    chosen = np.linspace(0, 29, 11).astype(int)
    assert measured["entropy"] == pytest.approx(entropy(p, axis=1).mean() / math.log(3), abs=1e-6)
    assert measured["silhouette"] == pytest.approx(silhouette_score(points, p.argmax(1)), abs=1e-6)
    assert fewer["silhouette"] == pytest.approx(silhouette_score(points[chosen], p[chosen].argmax(1)), abs=1e-6)


def test_one_cluster_has_no_silhouette(monkeypatch):
    tally, *_ = tallied(Toy)
    monkeypatch.setattr(Toy, "assign", lambda self, batch: torch.eye(3)[torch.zeros(batch.size, dtype=torch.long)])
    assert set(tally.label_free()) == {"entropy"}


def test_entropy_is_0_for_certain_and_1_for_uniform_assignments():
    p = torch.tensor([[1.0, 0.0, 0.0], [1 / 3, 1 / 3, 1 / 3]])
    assert assignment_entropy(p).tolist() == [0.0, pytest.approx(1.0)]
    assert math.copysign(1, assignment_entropy(p)[0].item()) == 1
