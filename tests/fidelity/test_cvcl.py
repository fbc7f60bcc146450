"""CVCL against a loop written from the equations: columns compared one by one."""

import math
from itertools import combinations

import pytest
import torch

from cmc.methods import CVCL
from tests.fidelity.nets import Positive, contrast, linear, side_by_side, softmax, squared_error
from tests.fidelity.trained import Adam, assert_alike, gradients_of, leaves, trained

N, K = 15, 3
PHASES = {"reconstruct": {"epochs": 4}, "contrast": {"epochs": 16}}


def sharpened(q):
    sizes = [sum(q[i, k] for i in range(len(q))) for k in range(K)]
    w = torch.stack([torch.stack([q[i, k] ** 2 / sizes[k] for k in range(K)]) for i in range(len(q))])
    return w / w.sum(1, keepdim=True)


def terms_of(p, rows, phase, cosine, tau, output):
    z = [side_by_side(p, "autoencoders.encoder", m, x, 2, last=True) for m, x in enumerate(rows)]
    decoded = [side_by_side(p, "autoencoders.decoder", m, x, 2, output == "relu") for m, x in enumerate(z)]
    terms = {"reconstruction": squared_error(rows, decoded)}
    if phase == "contrast":
        q = [softmax(linear(p, "cluster_head.1", linear(p, "cluster_head.0", x))) for x in z]
        shown = [sharpened(x) for x in q]
        columns = [x / x.norm(dim=0) if cosine else x for x in shown]
        terms["label_contrast"] = 0.3 * sum(contrast(a.T, b.T, tau) for a, b in combinations(columns, 2))
        pairs = list(combinations([x.mean(0) for x in shown], 2))
        sizes = [s for pair in pairs for s in pair]
        terms["imbalance"] = 0.2 * sum(math.log(K) + (s * s.log()).sum() for s in sizes)
    return terms


@pytest.mark.parametrize(("cosine", "tau", "output"), [(True, 1.0, "relu"), (False, 0.5, "linear")])
@pytest.mark.parametrize("dims", [(6, 6), (7, 5, 4)])
def test_every_step_is_that_of_the_equations(dims, cosine, tau, output, tmp_path):
    torch.manual_seed(0)
    shape = {f"m{i}": d for i, d in enumerate(dims)}
    adam = lambda p: torch.optim.Adam(p, 1e-3, eps=Adam.EPS)  # noqa: E731
    small = {"hidden": (9,), "latent_dim": 8, "head_dim": 6, "contrast_weight": 0.3, "balance_weight": 0.2}
    method = CVCL(shape, K, PHASES, adam, "full", cosine=cosine, temperature=tau, output=output, **small)
    before, rows, steps = trained(method, Positive(dims, N), tmp_path)
    p, adam = leaves(method, before), Adam()
    assert len(steps) == 20
    for step in steps:
        terms = terms_of(p, rows, step["phase"], cosine, tau, output)
        gradients = gradients_of(sum(terms.values()), p)
        adam.step(p, gradients)
        assert_alike(step, terms, gradients, p)
