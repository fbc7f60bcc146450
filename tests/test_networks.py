"""Networks against torch's and scikit-learn's own."""

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA
from torch import nn

from cmc.networks import AutoEncoder, ModalityBatchNorm, PrincipalComponents, SharedEncoder, mlp


def test_mlp_has_relu_between_layers_and_nothing_at_the_end():
    kinds = [type(layer).__name__ for layer in mlp([4, 5, 6, 2])]
    assert kinds == ["Linear", "ReLU", "Linear", "ReLU", "Linear"]


def test_decoder_mirrors_the_encoder():
    net = AutoEncoder([7, 5, 3])
    code, decoded = net(torch.randn(2, 7))
    assert code.shape == (2, 3)
    assert decoded.shape == (2, 7)
    widths = [tuple(layer.weight.shape) for layer in net.decoder if isinstance(layer, nn.Linear)]
    assert widths == [(5, 3), (7, 5)]


@pytest.mark.parametrize("shared", [False, True])
def test_batch_norm_keeps_statistics_as_torchs_does(shared):
    """One torch layer a modality where statistics are kept apart, one for all where they are shared."""
    torch.manual_seed(0)
    ours = ModalityBatchNorm(3, 1 if shared else 2)
    theirs = [nn.BatchNorm1d(3) for _ in range(1 if shared else 2)]
    for _ in range(4):
        for m in range(2):
            x = torch.randn(6, 3) * (m + 1) + m
            torch.testing.assert_close(ours(x, m), theirs[m % len(theirs)](x))
    ours.eval()
    for m in range(2):
        x = torch.randn(6, 3)
        torch.testing.assert_close(ours(x, m), theirs[m % len(theirs)].eval()(x))


def test_the_shared_encoder_is_the_same_for_all_modalities_in_training():
    torch.manual_seed(0)
    net = SharedEncoder(4, 2, 2)
    x = torch.randn(8, 4)
    torch.testing.assert_close(net(x, 0), net(x, 1))
    assert sum(p.numel() for p in net.parameters()) == 2 * (4 * 4 + 4 + 4 + 4)


def fitted(x, n_out):
    front = PrincipalComponents(x.shape[1], n_out)
    rows = torch.from_numpy(x).double()
    front.fit(len(rows), rows.sum(0), rows.T @ rows)
    return front


@pytest.mark.parametrize("n_out", [2, 5, 9])
def test_principal_components_are_scikit_learns_up_to_sign_and_one_scale(n_out):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(60, 5)) @ rng.normal(size=(5, 5)) + 3
    ours = fitted(x, n_out)(torch.from_numpy(x).float()).numpy()
    theirs = PCA(min(n_out, 5)).fit_transform(x)
    scale = np.sqrt((theirs**2).mean())
    np.testing.assert_allclose(np.abs(ours), np.abs(theirs) / scale, rtol=1e-3, atol=1e-4)
    assert (ours**2).mean() == pytest.approx(1, rel=1e-4)


def test_directions_without_variance_become_zero():
    rng = np.random.default_rng(0)
    x = np.hstack([rng.normal(size=(30, 2)), np.ones((30, 3))])
    result = fitted(x, 4)(torch.from_numpy(x).float())
    assert torch.isfinite(result).all()
    assert (result[:, 2:].abs() < 1e-4).all()


def test_without_components_rows_stay_as_they_are():
    x = torch.randn(3, 4)
    assert fitted(x.numpy(), None)(x) is x
