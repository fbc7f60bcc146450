"""IDEC, DEMVC, SDMVC and MVCAN against a loop written from the equations, k-means from scikit-learn."""

import math
from itertools import permutations

import numpy as np
import pytest
import torch
from sklearn.cluster import KMeans
from sklearn.metrics import normalized_mutual_info_score

from cmc.methods import MVCAN, DeepEmbedded
from tests.fidelity.nets import side_by_side, squared_error
from tests.fidelity.trained import Adam, Blobs, assert_alike, gradients_of, leaves, trained

N, K, EVERY = 15, 3, 4
CODES = "autoencoders.encoder"


def build(kind, dims, second, **settings):
    torch.manual_seed(0)
    shape = {f"m{i}": d for i, d in enumerate(dims)}
    phases = {"reconstruct": {"epochs": 8}, second: {"epochs": 12}}
    adam = lambda p: torch.optim.Adam(p, 1e-3, eps=Adam.EPS)  # noqa: E731
    small = {"hidden": (9,), "latent_dim": 6, "kmeans_restarts": 50, "refresh_every": EVERY}
    return kind(shape, K, phases, adam, "full", **small, **settings)


def encode(p, rows):
    return [side_by_side(p, CODES, m, x, 2) for m, x in enumerate(rows)]


def student(z, centres):
    near = torch.stack([torch.stack([1 / (1 + ((x - c) ** 2).sum()) for c in centres]) for x in z])
    return near / near.sum(1, keepdim=True)


def sharp(q):
    weights = torch.stack([row**2 / q.sum(0) for row in q]).detach()
    return weights / weights.sum(1, keepdim=True)


def kmeans(x):
    found = KMeans(K, n_init=50, random_state=0).fit(x.detach().numpy())
    return torch.as_tensor(found.cluster_centers_), found.labels_


def best_names(a, b):
    """By trial: which cluster of b bears the name k of a."""
    return max(permutations(range(K)), key=lambda names: sum(names[x] == y for x, y in zip(a, b, strict=True)))


def divergence(p, q):
    return sum(p[i, k] * (p[i, k] / q[i, k]).log() for i in range(N) for k in range(K)) / N


def names_in_common(q):
    """Of every modality's clusters, as many samples as may be in the same one as in the first modality."""
    first = q[0].argmax(1).tolist()
    return [torch.tensor(best_names(first, x.argmax(1).tolist())) for x in q]


def targets_of(q, z, target, number):
    if target == "own":
        return [sharp(x) for x in q]
    if target == "rotating":
        return [sharp(q[number % len(q)])] * len(q)
    joined = torch.cat(z, 1).detach()
    p, mean = sharp(student(joined, kmeans(joined)[0])), sum(q) / len(q)
    names = best_names(p.argmax(1).tolist(), mean.argmax(1).tolist())
    return [p[:, np.argsort(names)]] * len(q)


@pytest.mark.parametrize("target", ["own", "rotating", "common"])
@pytest.mark.parametrize("dims", [(6, 6), (7, 5, 4)])
def test_every_step_is_that_of_the_equations(target, dims, tmp_path):
    method = build(DeepEmbedded, dims, "embed", target=target, target_weight=0.3)
    before, rows, steps = trained(method, Blobs(dims, N), tmp_path)
    p, adam, targets = leaves(method, before), Adam(), None
    assert len(steps) == 20
    for step in steps:
        z = encode(p, rows)
        if step["phase"] == "embed" and step["epoch"] == 0:
            found = [kmeans(x)[0] for x in z]
            found = [found[0]] * len(z) if target == "rotating" else found
            if target != "rotating":
                q = [student(x, own) for x, own in zip(z, found, strict=True)]
                found = [own[names] for own, names in zip(found, names_in_common(q), strict=True)]
            order = torch.cdist(step["state"]["centres"][0], found[0]).argmin(1)  # which are a step of 1e-3 from them
            p["centres"].data = torch.stack([x[order] for x in found])
        decoded = [side_by_side(p, "autoencoders.decoder", m, x, 2) for m, x in enumerate(z)]
        terms = {"reconstruction": squared_error(rows, decoded)}
        if step["phase"] == "embed":
            q = [student(x, own) for x, own in zip(z, p["centres"], strict=True)]
            if step["epoch"] % EVERY == 0:
                targets = targets_of(q, z, target, step["epoch"] // EVERY)
            terms["target"] = 0.3 * sum(divergence(a, b) for a, b in zip(targets, q, strict=True))
        gradients = gradients_of(sum(terms.values()), p)
        adam.step(p, gradients)
        assert_alike(step, terms, gradients, p)


def fused(z, weights):
    scaled = [(x - x.amin(0)) / (x.amax(0) - x.amin(0)) for x in z]
    return torch.cat([w * x for w, x in zip(weights, scaled, strict=True)], 1).detach()


@pytest.mark.parametrize("dims", [(6, 6), (7, 5, 4)])
def test_every_step_of_mvcan_is_that_of_the_equations(dims, tmp_path):
    method = build(MVCAN, dims, "learn", target_weight=10.0)
    before, rows, steps = trained(method, Blobs(dims, N), tmp_path)
    p, adam, targets, weights = leaves(method, before), Adam(), None, [1.0] * len(dims)
    for step in steps:
        z = encode(p, rows)
        if step["phase"] == "learn" and step["epoch"] == 0:
            found = [kmeans(x)[0] for x in z]
            ours = [torch.cdist(x, c).argmin(1) for x, c in zip(step["state"]["centres"], found, strict=True)]
            p["centres"].data = torch.stack([c[order] for c, order in zip(found, ours, strict=True)])
        decoded = [side_by_side(p, "autoencoders.decoder", m, x, 2) for m, x in enumerate(z)]
        terms = {"reconstruction": squared_error(rows, decoded)}
        if step["phase"] == "learn":
            q = [student(x, own) for x, own in zip(z, p["centres"], strict=True)]
            if step["epoch"] % EVERY == 0:
                own = [x.argmax(1).tolist() for x in q]
                for _ in range(2):
                    joined = fused(z, weights)
                    centres, y = kmeans(joined)
                    weights = [math.exp(normalized_mutual_info_score(y, labels)) for labels in own]
                soft = sharp(student(joined, centres))
                targets = [soft[:, np.argsort(best_names(y.tolist(), labels))] for labels in own]
                torch.testing.assert_close(step["state"]["weights"], torch.tensor(weights, dtype=torch.float64))
            terms["target"] = 10 * sum(((a - b) ** 2).mean() for a, b in zip(q, targets, strict=True))
        gradients = gradients_of(sum(terms.values()), p)
        adam.step(p, gradients)
        assert_alike(step, terms, gradients, p)
