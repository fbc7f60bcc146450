"""COMPLETER against a loop written from the equations, one modality, one layer and one entry of a table at a time."""

from itertools import combinations, permutations

import pytest
import torch

from cmc.methods import Completer
from tests.fidelity.nets import Positive, batch_norm, linear, softmax, squared_error
from tests.fidelity.trained import Adam, assert_alike, gradients_of, leaves, trained

N, D, ALPHA = 12, 4, 9.0
PHASES = {"contrast": {"epochs": 8}, "predict": {"epochs": 12}}


def build(dims, **settings):
    torch.manual_seed(0)
    shape = {f"m{i}": d for i, d in enumerate(dims)}
    adam = lambda p: torch.optim.Adam(p, 1e-3, eps=Adam.EPS)  # noqa: E731
    small = {"hidden": (8, 7), "latent_dim": D, "predictor": (5,)}
    return Completer(shape, 3, PHASES, adam, "full", **small, **settings)


def network(p, prefix, x, depth, running, last):
    """Linear, batch norm, ReLU; the last one followed by what ``last`` says."""
    for i in range(depth):
        x = linear(p, f"{prefix}.{3 * i}", x)
        if i + 1 < depth or last == "norm":
            x = batch_norm(p, f"{prefix}.{3 * i + 1}", x, running).clamp(min=0)
    return softmax(x) if last == "softmax" else x


def shared(a, b, symmetric):
    joint = sum(torch.outer(x, y) for x, y in zip(a, b, strict=True)) / len(a)
    joint = (joint + joint.T) / 2 if symmetric else joint
    rows, columns = joint.sum(1), joint.sum(0)
    cells = [(i, j) for i in range(D) for j in range(D)]
    information = sum(joint[i, j] * (joint[i, j] / (rows[i] * columns[j])).log() for i, j in cells)
    entropies = [-sum(x * x.log() for x in margin) for margin in (rows, columns)]
    return -(information + ALPHA * sum(entropies))


def terms_of(p, rows, phase, running, symmetric, output):
    m = range(len(rows))
    z = [network(p, f"encoders.{i}", rows[i], 3, running, "softmax") for i in m]
    last = "norm" if output == "relu" else "linear"
    decoded = [network(p, f"decoders.{i}", z[i], 3, running, last) for i in m]
    per_modality = len(rows) - 1
    terms = {
        "information": sum(shared(a, b, symmetric) for a, b in combinations(z, 2)) / per_modality,
        "reconstruction": 0.1 * squared_error(rows, decoded),
    }
    if phase == "predict":
        ways = list(enumerate(permutations(m, 2)))
        errors = [
            ((network(p, f"predictors.{i}", z[a], 2, running, "softmax") - z[b]) ** 2).mean() for i, (a, b) in ways
        ]
        terms["prediction"] = 0.1 * sum(errors) / per_modality
    return terms


@pytest.mark.parametrize(("joint", "output"), [("symmetric", "relu"), ("plain", "linear")])
@pytest.mark.parametrize("dims", [(6, 6), (7, 5, 4)])
def test_every_step_is_that_of_the_equations(dims, joint, output, tmp_path):
    method = build(dims, joint=joint, output=output)
    before, rows, steps = trained(method, Positive(dims, N), tmp_path)
    running = {name: x.clone() for name, x in before.items() if "running" in name}
    p, adam = leaves(method, before), Adam()
    assert [step["phase"] for step in steps] == ["contrast"] * 8 + ["predict"] * 12
    for step in steps:
        terms = terms_of(p, rows, step["phase"], running, joint == "symmetric", output)
        gradients = gradients_of(sum(terms.values()), p)
        adam.step(p, gradients)
        assert_alike(step, terms, gradients, p)
        for name, value in running.items():
            torch.testing.assert_close(step["state"][name], value, rtol=1e-9, atol=1e-11, msg=name)
