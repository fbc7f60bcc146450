"""Balanced pseudo labels by Sinkhorn-Knopp: each sample one label, clusters of equal mass."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor

_LOOK_EVERY = 10
_ROWS = 2**16  # that are worked on at once


@torch.no_grad()
def sinkhorn_labels(
    log_assignment: Tensor, power: float = 10.0, max_iterations: int = 75, tolerance: float = 1e-2
) -> Tensor:
    r"""Scale :math:`p^{power}` until rows have mass 1/N and columns 1/K; label each sample by its largest entry.

    The scaling runs in log space and double precision, so that probabilities of any size, 0 included, neither
    overflow nor vanish. It stops when sum_i |c_i / c_i' - 1| is at most ``tolerance``, c the row scalings of the last
    two iterations, looked at every 10th iteration. Beside the argument it needs 16 bytes a sample.

    Args:
        log_assignment: N x K logarithms of assignment probabilities; minus infinity is a probability of 0.
        power: of the probabilities: a softmax temperature of 1/power.
        max_iterations: at most so many.
        tolerance: where the scaling counts as finished.

    Returns:
        N labels in 0..K-1, int64, on the device of the argument.

    Source: DMIM, the uniform-distribution constraint; the scheme is that of SeLa (Asano et al., ICLR 2020).
    """
    n, k = log_assignment.shape
    row = log_assignment.new_full((n, 1), -math.log(n), dtype=torch.float64)
    column = row.new_full((1, k), -math.log(k))

    def blocks() -> Iterator[tuple[Tensor, Tensor]]:
        for scores, rows in zip(torch.split(log_assignment, _ROWS), torch.split(row, _ROWS), strict=True):
            yield (power * scores.double()).clamp_min(-1e6), rows

    for iteration in range(max_iterations):
        sums = [torch.logsumexp(scores + rows, 0, keepdim=True) for scores, rows in blocks()]
        column = -math.log(k) - torch.logsumexp(torch.cat(sums), 0, keepdim=True)
        change = row.new_zeros(())
        for scores, rows in blocks():
            new = -math.log(n) - torch.logsumexp(scores + column, 1, keepdim=True)
            change += (rows - new).expm1().abs().sum()
            rows.copy_(new)
        if iteration % _LOOK_EVERY == 0 and change <= tolerance:
            break
    return torch.cat([(scores + column).argmax(1) for scores, _ in blocks()])
