"""What is measured along the way, with labels and without."""

import math

import numpy as np
import pytest
import torch
from sklearn.metrics import normalized_mutual_info_score

from cmc.callbacks.evaluation import Tally
from tests.methods.toy import Toy, ToyData


class Split(Toy):
    """Each modality with an assignment of its own."""

    def assign_each(self, batch):
        return torch.stack([head(x).softmax(1) for head, x in zip(self.heads, batch.modalities, strict=True)])


def tallied(kind, **settings):
    torch.manual_seed(0)
    data = ToyData(n_clusters=3, **settings)
    data.load()
    method = kind(data.dims, 3, {"second": {"epochs": 1}})
    tally, each = Tally(method, data.n_classes), []
    for batch in data.pass_over():
        for part in batch.chunks(7):
            tally.add(part, method.assign(part), data.labels)
            each.append(method.assign_each(part))
    return tally, each


@pytest.mark.parametrize("labelled", [True, False])
def test_agreement_and_balance_need_no_labels(labelled):
    tally, each = tallied(Split, labelled=labelled)
    clusters = torch.cat([x.argmax(2) for x in each], 1).numpy()
    shares = [np.bincount(x, minlength=3) / 30 for x in clusters]
    balance = np.mean([-sum(s * math.log(s) for s in x if s) / math.log(3) for x in shares])
    agreed = normalized_mutual_info_score(*clusters)
    measured = tally.label_free()
    assert measured["agreement"] == pytest.approx(agreed, abs=1e-9)
    assert measured["balance"] == pytest.approx(balance, abs=1e-9)
    assert measured["quality"] == pytest.approx(agreed * balance, abs=1e-9)
    assert (tally.scores() is not None) == labelled


def test_a_method_without_assignments_of_each_modality_has_no_agreement():
    assert tallied(Toy)[0].label_free() is None
