"""SEM against a loop written from the equations, the weights from scikit-learn's k-means and mutual information."""

import math
from itertools import product

import pytest
import torch
from sklearn.cluster import KMeans
from sklearn.metrics import normalized_mutual_info_score

from cmc.methods import SEM
from tests.fidelity.nets import contrast, linear, side_by_side, squared_error, unit
from tests.fidelity.trained import Adam, Blobs, assert_alike, gradients_of, leaves, trained

N, K, EVERY = 15, 3, 6
PHASES = {"reconstruct": {"epochs": 4}, "contrast": {"epochs": 16}}


def encode(p, rows):
    return [side_by_side(p, "autoencoders.encoder", m, x, 2) for m, x in enumerate(rows)]


def features(p, h):
    return [unit(linear(p, f"feature_heads.{m}", x)) for m, x in enumerate(h)]


def weights_of(codes):
    found = [KMeans(K, n_init=50, random_state=0).fit_predict(x.detach().numpy()) for x in codes]
    return [[math.exp(normalized_mutual_info_score(a, b)) - 1 for b in found] for a in found]


def terms_of(p, rows, phase, weights, self_pairs):
    h = encode(p, rows)
    decoded = [side_by_side(p, "autoencoders.decoder", m, x, 2) for m, x in enumerate(h)]
    terms = {"reconstruction": squared_error(rows, decoded)}
    if phase == "contrast":
        z = features(p, h)
        pairs = [(a, b) for a, b in product(range(len(z)), repeat=2) if a != b or self_pairs]
        terms["feature_contrast"] = sum(weights[a][b] * contrast(z[a], z[b], 1.0) for a, b in pairs)
    return terms


@pytest.mark.parametrize(("self_pairs", "restart"), [(True, False), (False, True)])
@pytest.mark.parametrize("dims", [(6, 6), (7, 5, 4)])
def test_every_step_is_that_of_the_equations(dims, self_pairs, restart, tmp_path):
    torch.manual_seed(0)
    shape = {f"m{i}": d for i, d in enumerate(dims)}
    small = {"hidden": (9,), "latent_dim": 8, "feature_dim": 5, "kmeans_restarts": 50, "refresh_every": EVERY}
    optimizer = lambda p: torch.optim.Adam(p, 1e-3, eps=Adam.EPS)  # noqa: E731
    settings = {"self_pairs": self_pairs, "restart_optimizer": restart}
    method = SEM(shape, K, PHASES, optimizer, "full", **small, **settings)
    before, rows, steps = trained(method, Blobs(dims, N), tmp_path)
    p, adam, weights = leaves(method, before), Adam(), None
    assert len(steps) == 20
    for step in steps:
        if step["phase"] == "contrast":
            if step["epoch"] % EVERY == 0:
                h = encode(p, rows)
                weights = weights_of(h if step["epoch"] == 0 else features(p, h))
            torch.testing.assert_close(step["state"]["pulls"], torch.tensor(weights, dtype=torch.float64))
            adam = Adam() if restart else adam
        terms = terms_of(p, rows, step["phase"], weights, self_pairs)
        gradients = gradients_of(sum(terms.values()), p)
        adam.step(p, gradients)
        assert_alike(step, terms, gradients, p)
