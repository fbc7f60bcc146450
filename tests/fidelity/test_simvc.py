"""SiMVC and CoMVC against a loop written from the equations: sums over pairs of samples."""

from itertools import combinations, permutations

import pytest
import torch

from cmc.methods import CoMVC, SiMVC
from tests.fidelity.nets import batch_norm, contrast, linear, side_by_side, softmax, unit
from tests.fidelity.trained import Adam, Blobs, assert_alike, gradients_of, leaves, trained

N, K = 12, 3


def build(kind, dims, epochs=20, **settings):
    torch.manual_seed(0)
    shape, phases = {f"m{i}": d for i, d in enumerate(dims)}, {"train": {"epochs": epochs}}
    adam = lambda p: torch.optim.Adam(p, 1e-3, eps=Adam.EPS)  # noqa: E731
    return kind(shape, K, phases, adam, "full", hidden=(9,), latent_dim=7, head_dim=5, **settings)


def kernel_of(h):
    squares = torch.stack([torch.stack([((x - y) ** 2).sum() for y in h]) for x in h])
    ordered = squares.detach().flatten().sort().values
    return (-squares / (2 * 0.15 * ordered[(len(ordered) - 1) // 2])).exp()


def divergence(a, kernel):
    def between(k, j):
        return (a[:, k, None] * a[:, j] * kernel).sum()

    pairs = list(combinations(range(K), 2))
    return sum(between(k, j) / (between(k, k) * between(j, j)).sqrt() for k, j in pairs) / len(pairs)


def drawn_contrast(z, assigned):
    """Of every ordered pair, with the numbers that torch draws next: negatives among rows of other clusters."""
    rows, cluster, m = torch.cat([unit(x) for x in z]), assigned.argmax(1), len(z)
    others, terms = torch.stack([(cluster[i] != cluster.repeat(m)).float() for i in range(N)]), []
    for a, b in permutations(range(m), 2):
        picked = torch.multinomial(others, N * m // 4, replacement=True)
        for i in range(N):
            own, positive = rows[a * N + i], rows[b * N + i] @ rows[a * N + i] / 0.1
            assert all(cluster[j % N] != cluster[i] for j in picked[i])
            negatives = torch.stack([own @ rows[j] / 0.1 for j in picked[i]]).exp().sum()
            terms.append((positive.exp() + negatives).log() - positive)
    return sum(terms) / len(terms)


def terms_of(p, rows, kind, negatives, running):
    z = [side_by_side(p, "encoder", m, x, 2, last=True) for m, x in enumerate(rows)]
    w = p["weights"].exp() / p["weights"].exp().sum()
    fused = sum(x * y for x, y in zip(w, z, strict=True))
    h = batch_norm(p, "feature_head.2", linear(p, "feature_head.0", fused).clamp(min=0), running)
    a = softmax(linear(p, "cluster_head", h))
    kernel = kernel_of(h)
    pairs = [a[i] @ a[j] for i, j in combinations(range(N), 2)]
    corners = torch.stack([torch.stack([(-((x - e) ** 2).sum()).exp() for e in torch.eye(K)]) for x in a])
    terms = {"separation": divergence(a, kernel), "overlap": sum(pairs) / len(pairs),
             "corners": divergence(corners, kernel)}  # fmt: skip
    if kind is CoMVC:
        each = [2 * contrast(unit(x), unit(y), 0.1) for x, y in combinations(z, 2)]
        value = sum(each) / len(each) if negatives == "paired" else drawn_contrast(z, a)
        terms["contrast"] = 0.1 * w.min().detach() * value
    return terms


@pytest.mark.parametrize(("kind", "negatives"), [(SiMVC, None), (CoMVC, "paired"), (CoMVC, "sampled")])
@pytest.mark.parametrize("dims", [(6, 6), (7, 5, 4)])
def test_every_step_is_that_of_the_equations(kind, negatives, dims, tmp_path):
    method = build(kind, dims, **({"negatives": negatives} if negatives else {}))
    before, rows, steps = trained(method, Blobs(dims, N), tmp_path)
    running = {name: x.clone() for name, x in before.items() if "running" in name}
    p, adam = leaves(method, before), Adam()
    assert len(steps) == 20
    for step in steps:
        torch.set_rng_state(step["random"])
        terms = terms_of(p, rows, kind, negatives, running)
        gradients = gradients_of(sum(terms.values()), p)
        adam.step(p, gradients)
        assert_alike(step, terms, gradients, p)
        for name, value in running.items():
            torch.testing.assert_close(step["state"][name], value, rtol=1e-9, atol=1e-11, msg=name)
