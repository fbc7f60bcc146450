"""Dropout whose masks are those of the global batch: the same for a row on any number of processes."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from cmc import distributed


class RowDropout(nn.Module):
    """As ``torch.nn.Dropout``, where the first axis is the batch of which this process has a share.

    Args:
        share: of the entries that are set to 0 in training; the others are divided by the rest.
    """

    def __init__(self, share: float) -> None:
        super().__init__()
        self.share = share

    def forward(self, x: Tensor) -> Tensor:
        """Drop in training; leave x as it is in evaluation, or where nothing is dropped."""
        if not self.training or self.share == 0:
            return x
        n, offset = distributed.rows_before(x)
        dtype = torch.promote_types(x.dtype, torch.float32)  # half of the bits would draw too few numbers
        drawn = torch.rand(n, *x.shape[1:], dtype=dtype, device=x.device)[offset : offset + len(x)]
        return x * (drawn >= self.share) / (1 - self.share)
