"""The products of a step against those that PyTorch counts."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from cmc.nn.autoencoder import BatchedLinear
from cmc.nn.work import Product, products, share_in, typical_size


def test_multiply_adds_are_those_that_pytorch_counts():
    layers = torch.nn.Sequential(torch.nn.Linear(7, 5), torch.nn.ReLU(), torch.nn.Linear(5, 3))
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        layers(torch.randn(11, 7))
    found = products(layers.parameters(), 11)
    assert sum(2 * each.times * each.size for each in found) == counter.get_total_flops()


def test_layers_side_by_side_are_several_products():
    layer = BatchedLinear([torch.nn.Linear(64, 32) for _ in range(3)])
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        layer([torch.randn(64, 16)] * 3)
    weights, biases = products(layer.parameters(), 16)
    assert weights == Product(16, 64, 32, 3)
    assert 2 * weights.times * weights.size == counter.get_total_flops()
    assert biases.times * biases.size < weights.size, "laid side by side they are counted, too"


def test_sizes_are_weighted_by_the_work_in_them():
    found = [Product(1, 10, 10), Product(1, 1, 1, 100)]
    assert typical_size(found) == pytest.approx(0.5 * 100 + 0.5 * 1)
    assert share_in(found[:1], found) == 0.5
    assert (typical_size([]), share_in([], [])) == (0, 0)
