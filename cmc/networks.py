"""The networks that methods are built from."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn


def mlp(widths: Sequence[int]) -> nn.Sequential:
    """Linear layers of the given widths with ReLU between them and nothing after the last.

    Args:
        widths: input width, hidden widths, output width: at least two numbers.
    """
    layers: list[nn.Module] = []
    for n_in, n_out in pairwise(widths):
        layers += [nn.ReLU(), nn.Linear(n_in, n_out)]
    return nn.Sequential(*layers[1:])


class AutoEncoder(nn.Module):
    """An encoder of the given widths and the decoder that mirrors it.

    Args:
        widths: input width, hidden widths, width of the code.
    """

    def __init__(self, widths: Sequence[int]) -> None:
        super().__init__()
        self.encoder = mlp(widths)
        self.decoder = mlp(list(reversed(widths)))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Map x (B x d) to its code (B x width) and its reconstruction (B x d)."""
        code = self.encoder(x)
        return code, self.decoder(code)
