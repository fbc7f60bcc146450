"""Auto-encoders against a loop written apart, and against what is known of linear ones."""

import pytest
import torch

from cmc.methods import AutoEncoderKMeans
from tests.fidelity.nets import side_by_side, squared_error
from tests.fidelity.trained import Adam, Blobs, assert_alike, gradients_of, leaves, trained
from tests.methods.toy import fit


def build(dims, epochs, lr=1e-3, **settings):
    torch.manual_seed(0)
    shape, phases = {f"m{i}": d for i, d in enumerate(dims)}, {"reconstruct": {"epochs": epochs}}
    return AutoEncoderKMeans(shape, 3, phases, lambda p: torch.optim.Adam(p, lr, eps=Adam.EPS), **settings)


@pytest.mark.parametrize("dims", [(6, 6), (7, 5, 4)])
def test_every_step_is_that_of_the_equations(dims, tmp_path):
    method = build(dims, 20, batch_size=30, hidden=(9, 8), latent_dim=4)
    before, rows, steps = trained(method, Blobs(dims, 30), tmp_path)
    p, adam = leaves(method, before), Adam()
    assert len(steps) == 20
    for step in steps:
        codes = [side_by_side(p, "autoencoders.encoder", m, x[step["index"]], 3) for m, x in enumerate(rows)]
        decoded = [side_by_side(p, "autoencoders.decoder", m, z, 3) for m, z in enumerate(codes)]
        terms = {"reconstruction": squared_error([x[step["index"]] for x in rows], decoded)}
        gradients = gradients_of(terms["reconstruction"], p)
        adam.step(p, gradients)
        assert_alike(step, terms, gradients, p)


def test_a_linear_one_reaches_the_error_of_principal_components(tmp_path):
    """Of centred features no linear code of two numbers does better: what is left are the other variances."""
    dims = (6, 5)
    method = build(dims, 150, lr=5e-2, batch_size="full", hidden=(), latent_dim=2)
    data = Blobs(dims, 60)
    data.load()
    data.samples.tensors = tuple((x - x.mean(0)) / 20 for x in data.samples.tensors)
    method.double()
    fit(method, data, tmp_path)
    left = [torch.linalg.svdvals(x)[2:].square().sum() / x.numel() for x in data.samples.tensors]
    (batch,) = data.pass_over()
    found = method.losses(batch)["reconstruction"].item()
    assert sum(left).item() - 1e-9 < found < 1.01 * sum(left).item()
