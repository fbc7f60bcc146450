"""CMMC and its release against a loop written from the equations: sums over samples, one modality after the other."""

import math
from itertools import combinations

import numpy as np
import pytest
import torch
from scipy.optimize import linear_sum_assignment
from sklearn.cluster import KMeans

from cmc.methods import CMMC, ReleasedCMMC
from tests.fidelity.trained import Adam, Blobs, assert_alike, gradients_of, leaves, presence, trained

N, B, K, HIDDEN = 33, 11, 3, (9, 8)  # the last of HIDDEN is the code's width
PHASES = {"reconstruct": {"epochs": 3}, "contrast": {"epochs": 4}, "align": {"epochs": 4, "batch_size": "full"}}
TAU_F, TAU_L = 0.5, 1.0


def layer(p, which, i, m):
    """Weight and bias of one layer of one modality, however they are kept."""
    for kind in ("weight", "bias"):
        name = f"networks.0.autoencoders.{which}.layers.{i}.{kind}"
        yield p[name][m] if name in p else p[f"{name}.{m}"]


def network(p, which, m, x):
    for i in range(len(HIDDEN)):
        weight, bias = layer(p, which, i, m)
        x = (x if i == 0 else x.clamp(min=0)) @ weight.T + bias
    return x


def features(p, z):
    h = z @ p["networks.0.feature_head.weight"].T + p["networks.0.feature_head.bias"]
    return h / h.norm(dim=1, keepdim=True)


def labels(p, z):
    e = (z @ p["networks.0.cluster_head.weight"].T + p["networks.0.cluster_head.bias"]).exp()
    return e / e.sum(1, keepdim=True)


def contrast(a, b, temperature):
    """NT-Xent of the rows of a and b: each row's positive is its partner, all other rows but itself are negatives."""
    rows, n, total = [row / row.norm() for row in torch.cat([a, b])], len(a), 0.0
    for i in range(2 * n):
        similar = torch.stack([rows[i] @ rows[j] for j in range(2 * n)]) / temperature
        others = torch.cat([similar[:i], similar[i + 1 :]]).exp()
        total = total - (similar[(i + n) % (2 * n)] - others.sum().log())
    return total / (2 * n)


def terms_of(p, rows, there, rates, phase, targets, release):
    """The equations over samples that have what a term needs (``there``, B x M), times how many they are by how many
    are to be expected, by the ``rates`` of all samples (M x M)."""
    z, n = [network(p, "encoder", m, x) for m, x in enumerate(rows)], len(there)
    pairs = list(combinations(range(len(rows)), 2))
    both = {(a, b): there[:, a] & there[:, b] for a, b in pairs}
    if phase == "align":
        q = [labels(p, x) for x in z]
        shown = [x.softmax(1) for x in q] if release else q  # the release's cross-entropy softmaxes what it is fed
        taught = [-s[i, t[i]].log() / rates[m, m] for m, (s, t) in enumerate(zip(shown, targets, strict=True))
                  for i in range(n) if there[i, m]]  # fmt: skip
        return {"alignment": sum(taught) / n}
    decoded = [network(p, "decoder", m, x) for m, x in enumerate(z)]
    errors = [((rows[m][i] - decoded[m][i]) ** 2).mean() / rates[m, m]
              for m in range(len(rows)) for i in range(n) if there[i, m]]  # fmt: skip
    terms = {"reconstruction": sum(errors) / n}
    if phase == "contrast":
        h, q = [features(p, x) for x in z], [labels(p, x) for x in z]
        shares = {pair: chosen.sum().item() / n / rates[pair] for pair, chosen in both.items() if chosen.any()}
        terms["feature_contrast"] = sum(
            share * contrast(h[a][both[a, b]], h[b][both[a, b]], TAU_F) for (a, b), share in shares.items()
        )
        terms["label_contrast"] = sum(
            share * contrast(q[a][both[a, b]].T, q[b][both[a, b]].T, TAU_L) for (a, b), share in shares.items()
        )
        sizes = [(x[there[:, m]].mean(0), there[:, m].sum().item() / n / rates[m, m]) for m, x in enumerate(q)]
        counted = [sizes[m] for pair in pairs for m in pair] if release else sizes
        terms["imbalance"] = sum(share * (math.log(K) + (s * s.log()).sum()) for s, share in counted)
    return terms


def clustered(p, rows, there):
    """k-means on every modality's features, min-max scaled; 0 where it is not there, which none asks for."""
    found = []
    for m, x in enumerate(rows):
        h = features(p, network(p, "encoder", m, x[there[:, m]])).detach().numpy()
        scaled = (h - h.min(0)) / (h.max(0) - h.min(0))
        found.append(np.zeros(len(x), dtype=int))
        found[m][there[:, m].numpy()] = KMeans(K, n_init=50, random_state=0).fit_predict(scaled)
    return found


def renamed(p, rows, there, found):
    """Every modality's labels in the numbers of q, by the best matching of the present epoch."""
    targets = []
    for m, x in enumerate(rows):
        q, own = labels(p, network(p, "encoder", m, x)).argmax(1).numpy(), there[:, m].numpy()
        table = np.array([[(q[(found[m] == j) & own] == i).sum() for j in range(K)] for i in range(K)])
        names = dict(zip(*reversed(linear_sum_assignment(-table)), strict=True))
        targets.append(torch.tensor([names[j] for j in found[m]]))
    return targets


@pytest.mark.parametrize("kind", [CMMC, ReleasedCMMC])
@pytest.mark.parametrize(("dims", "gaps"), [((6, 6), False), ((7, 5, 4), False), ((6, 6), True), ((7, 5, 4), True)])
def test_every_step_of_every_phase_is_that_of_the_equations(kind, dims, gaps, tmp_path):
    torch.manual_seed(0)
    shape, small = {f"m{i}": d for i, d in enumerate(dims)}, {"hidden": HIDDEN[:1], "latent_dim": HIDDEN[1]}
    optimizer = lambda p: torch.optim.Adam(p, 1e-3, eps=Adam.EPS)  # noqa: E731
    method = kind(shape, K, PHASES, optimizer, B, feature_dim=5, kmeans_restarts=50, **small)
    before, rows, steps = trained(method, data := Blobs(dims, N, gaps), tmp_path)
    p, adam, found, present = leaves(method, before), Adam(), None, presence(data)
    assert present.all() != gaps
    rates = torch.tensor([[(a & b).double().mean() for a in present.T] for b in present.T])
    assert len(steps) == (3 + 4) * (N // B) + 4
    for number, step in enumerate(steps):
        batch, there, targets = [x[step["index"]] for x in rows], present[step["index"]], None
        if step["phase"] == "align":
            found = clustered(p, rows, present) if found is None else found
            targets = renamed(p, rows, present, found)
        terms = terms_of(p, batch, there, rates, step["phase"], targets, kind is ReleasedCMMC)
        gradients = gradients_of(sum(terms.values()), p)
        adam.step(p, gradients)
        one_a_batch = step["phase"] == "align" or number % (N // B) == 0  # else they are means of the epoch so far
        assert_alike(step, terms if one_a_batch else {}, gradients, p)
