"""DIVIDE against a loop written from the equations: both encoders, their statistics, walks step by step."""

from itertools import permutations

import pytest
import torch

from cmc.methods import DIVIDE
from tests.fidelity.nets import EPS, MOMENTUM, softmax, unit
from tests.fidelity.trained import Adam, Blobs, assert_alike, gradients_of, leaves, trained

N, K, SHARE = 12, 3, 0.2


def normalised(p, prefix, x, running):
    mean, var = x.mean(0), ((x - x.mean(0)) ** 2).mean(0)
    for kind, value in (("mean", mean), ("var", var * N / (N - 1))):
        name = f"{prefix}.running_{kind}"
        running[name] = (1 - MOMENTUM) * running[name] + MOMENTUM * value.detach()
    x = (x - mean) / (var + EPS).sqrt()
    return x * p[f"{prefix}.weight"] + p[f"{prefix}.bias"] if f"{prefix}.weight" in p else x


def encode(p, prefix, x, running):
    """Linear, norm, ReLU, dropout; linear, norm, ReLU; linear, norm: layers 0 1 2 3, 4 5 6, 7 8."""
    x = normalised(p, f"{prefix}.1", x @ p[f"{prefix}.0.weight"].T, running).clamp(min=0)
    x = x * (torch.rand(x.shape, dtype=x.dtype) >= SHARE) / (1 - SHARE)
    x = normalised(p, f"{prefix}.5", x @ p[f"{prefix}.4.weight"].T, running).clamp(min=0)
    return normalised(p, f"{prefix}.8", x @ p[f"{prefix}.7.weight"].T, running)


def predict(p, m, x):
    for i in (0, 2):
        x = x @ p[f"predictors.{m}.{i}.weight"].T + p[f"predictors.{m}.{i}.bias"]
        x = x.clamp(min=0) if i == 0 else x
    return x


def walked(t):
    step = torch.stack([torch.stack([(-(2 - 2 * a @ b) / 0.1).exp() for b in t]) for a in t])
    step = step / step.sum(1, keepdim=True)
    found = step
    for _ in range(4):
        found = found @ step
    return 0.5 * torch.eye(N) + 0.5 * found


def distance(a, b, targets):
    near = torch.stack([softmax((x @ b.T / 0.5)[None])[0] for x in a])
    return -sum(targets[i, j] * near[i, j].log() for i in range(N) for j in range(N)) / N


@pytest.mark.parametrize("dims", [(6, 6), (7, 5, 4)])
def test_every_step_is_that_of_the_equations(dims, tmp_path):
    torch.manual_seed(0)
    shape, m = {f"m{i}": d for i, d in enumerate(dims)}, len(dims)
    phases = {"contrast": {"epochs": 10}, "walk": {"epochs": 10}}
    adam = lambda p: torch.optim.Adam(p, 1e-3, eps=Adam.EPS)  # noqa: E731
    small = {"hidden": (9, 8), "latent_dim": 6, "predictor": (7,)}
    method = DIVIDE(shape, K, phases, adam, "full", dropout=SHARE, **small)
    before, rows, steps = trained(method, Blobs(dims, N), tmp_path)
    running = {name: x.clone() for name, x in before.items() if "running" in name}
    p, adam = leaves(method, before), Adam()
    slow = {name: name.replace("targets", "encoders") for name in p if name.startswith("targets")}
    assert len(steps) == 20
    for step in steps:
        torch.set_rng_state(step["random"])
        for name, own in slow.items():
            p[name].data = 0.98 * p[name].data + 0.02 * p[own].data
        z = [encode(p, f"encoders.{i}", x, running) for i, x in enumerate(rows)]
        t = [unit(encode(p, f"targets.{i}", x, running)).detach() for i, x in enumerate(rows)]
        q = [unit(predict(p, i, x)) for i, x in enumerate(z)]
        z = [unit(x) for x in z]
        w = [torch.eye(N) if step["phase"] == "contrast" else walked(x) for x in t]
        pairs = permutations(range(m), 2)
        terms = {
            "across": sum(distance(q[a], t[b], w[b]) for a, b in pairs) / (m - 1) / 2,
            "within": sum(distance(x, y, own) for x, y, own in zip(z, t, w, strict=True)) / 2,
        }
        gradients = gradients_of(sum(terms.values()), p)
        assert not [name for name in gradients if name in slow], "none reaches the targets"
        adam.step(p, gradients)
        assert_alike(step, terms, gradients, p)
        assert not [name for name in step["gradients"] if name in slow]
        for name, value in running.items():
            torch.testing.assert_close(step["state"][name][0], value[0], rtol=1e-9, atol=1e-11, msg=name)
