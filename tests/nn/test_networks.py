"""Networks against torch's own."""

import pytest
import torch
from torch import nn

from cmc.nn import autoencoder as networks
from cmc.nn.autoencoder import AutoEncoders, mlp
from cmc.nn.bottleneck import ModalityBatchNorm, SharedEncoder


def test_mlp_has_relu_between_layers_and_nothing_at_the_end():
    kinds = [type(layer).__name__ for layer in mlp([4, 5, 6, 2])]
    assert kinds == ["Linear", "ReLU", "Linear", "ReLU", "Linear"]


def test_mlp_with_batch_norm_is_torchs_in_training_and_evaluation():
    torch.manual_seed(0)
    ours = mlp([4, 5, 6, 2], norm=True, last=[nn.Softmax(1)]).double()
    linears = [layer for layer in ours if isinstance(layer, nn.Linear)]
    norms = [nn.BatchNorm1d(width).double() for width in (5, 6)]
    theirs = nn.Sequential(linears[0], norms[0], nn.ReLU(), linears[1], norms[1], nn.ReLU(), linears[2], nn.Softmax(1))
    for _ in range(3):
        x = torch.randn(9, 4, dtype=torch.float64)
        torch.testing.assert_close(ours(x), theirs(x))
    torch.testing.assert_close(ours.eval()(x), theirs.eval()(x))


def both_ways(dims, widths):
    """Auto-encoders side by side and the same one by one: outputs and gradients of each, in the modalities' order."""
    torch.manual_seed(0)
    together = AutoEncoders(dims, widths).double()
    torch.manual_seed(0)
    alone = [(mlp([d, *widths]).double(), mlp([*widths[::-1], d]).double()) for d in dims]
    rows = [torch.rand(11, d, dtype=torch.float64, requires_grad=True) for d in dims]
    same = [x.detach().clone().requires_grad_() for x in rows]
    codes = together.encoder(rows)
    outputs = codes + together.decoder(codes)
    expected_codes = [encoder(x) for (encoder, _), x in zip(alone, same, strict=True)]
    expected = expected_codes + [decoder(z) for (_, decoder), z in zip(alone, expected_codes, strict=True)]
    for results in (outputs, expected):
        torch.stack([x.square().sum() for x in results]).sum().backward()
    gradients = [x.grad for x in rows]
    expected_gradients = [x.grad for x in same]
    for side, which in ((together.encoder, 0), (together.decoder, 1)):
        for i, layer in enumerate(side.layers):
            for kind in ("weight", "bias"):
                parameters = getattr(layer, kind)
                batched = isinstance(parameters, nn.Parameter)
                gradients += list(parameters.grad) if batched else [p.grad for p in parameters]
                expected_gradients += [getattr(pair[which][2 * i], kind).grad for pair in alone]
    return outputs + gradients, expected + expected_gradients


@pytest.mark.parametrize("widths", [(3,), (5, 3), (6, 5, 3)])
@pytest.mark.parametrize("dims", [(7, 7), (7, 9), (4, 4, 4), (4, 6, 4)])
@pytest.mark.parametrize("few", [10, 11])
def test_side_by_side_networks_are_what_each_would_be_alone(dims, widths, few, monkeypatch):
    """From the first numbers drawn to the gradients, of few samples and of many."""
    monkeypatch.setattr(networks, "_FEW", few)
    ours, theirs = both_ways(dims, widths)
    for mine, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine, other)


def test_layers_of_equal_widths_are_one_product():
    nets = AutoEncoders([7, 9], [6, 5, 3])
    kinds = [[type(layer).__name__ for layer in side.layers] for side in (nets.encoder, nets.decoder)]
    assert kinds == [["SeparateLinear", "BatchedLinear", "BatchedLinear"], ["BatchedLinear"] * 2 + ["SeparateLinear"]]
    widths = [tuple(layer.weight.shape) for layer in AutoEncoders([7, 7], [5, 3]).decoder.layers]
    assert widths == [(2, 5, 3), (2, 7, 5)]


@pytest.mark.parametrize("few", [63, 64])
@pytest.mark.parametrize("dims", [(16, 16), (16, 20)])
def test_side_by_side_networks_round_to_bfloat16_as_each_would_alone(dims, few, monkeypatch):
    monkeypatch.setattr(networks, "_FEW", few)
    torch.manual_seed(0)
    together = AutoEncoders(dims, [32, 8])
    torch.manual_seed(0)
    alone = [(mlp([d, 32, 8]), mlp([8, 32, d])) for d in dims]
    rows = [torch.rand(64, d) for d in dims]
    with torch.autocast("cpu", torch.bfloat16):
        codes = together.encoder(rows)
        expected = [encoder(x) for (encoder, _), x in zip(alone, rows, strict=True)]
    exact = [encoder(x) for (encoder, _), x in zip(alone, rows, strict=True)]
    for ours, theirs, full in zip(codes, expected, exact, strict=True):
        assert ours.dtype == theirs.dtype == torch.bfloat16
        assert 0 < (ours - full).abs().mean() < 1.5 * (theirs - full).abs().mean()


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
