"""How much a training step computes: the matrix products of a module's layers, by their sizes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import prod
from typing import NamedTuple

from torch import Tensor


class Product(NamedTuple):
    """Rows times the weights of a layer, several times.

    Attributes:
        samples: rows.
        inputs: columns of a row.
        outputs: columns of a row of the product.
        times: how many such products a step takes forward.
    """

    samples: int
    inputs: int
    outputs: int
    times: int = 1

    @property
    def size(self) -> int:
        """Multiply-adds of one such product."""
        return self.samples * self.inputs * self.outputs


def products(parameters: Iterable[Tensor], samples: int) -> list[Product]:
    """The products of a step over ``samples`` rows: one a weight of two dimensions, several a weight of more.

    Args:
        parameters: weights are ... x out x in, as in `torch.nn.Linear` and `cmc.nn.autoencoder.BatchedLinear`; vectors
            are left out, and so are biases that are laid side by side, which are a fraction of the weights.
        samples: rows that are passed through the layers at once.
    """
    return [Product(samples, w.shape[-1], w.shape[-2], prod(w.shape[:-2])) for w in parameters if w.ndim > 1]


def typical_size(found: Sequence[Product]) -> float:
    """The size of the product that a multiply-add of the step belongs to, on average; 0 of no products."""
    work = sum(each.times * each.size for each in found)
    return sum(each.times * each.size**2 for each in found) / work if work else 0.0


def share_in(large: Sequence[Product], found: Sequence[Product]) -> float:
    """The share of all multiply-adds that is in some of the products; 0 where there are none at all."""
    work = sum(each.times * each.size for each in found)
    return sum(each.times * each.size for each in large) / work if work else 0.0
