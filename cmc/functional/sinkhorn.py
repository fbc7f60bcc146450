"""Balanced pseudo labels by Sinkhorn-Knopp: each sample one label, clusters of equal mass."""

from __future__ import annotations

import math

import torch
from torch import Tensor

_LOOK_EVERY = 10


def sinkhorn_labels(
    log_assignment: Tensor, power: float = 10.0, max_iterations: int = 75, tolerance: float = 1e-2
) -> Tensor:
    r"""Scale :math:`p^{power}` until rows have mass 1/N and columns 1/K; label each sample by its largest entry.

    The scaling runs in log space and double precision, so that probabilities of any size, 0 included, neither
    overflow nor vanish. It stops when sum_i |c_i / c_i' - 1| is at most ``tolerance``, c the row scalings of the last
    two iterations, looked at every 10th iteration.

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
    scores = (power * log_assignment.double()).clamp_min(-1e6)
    row = scores.new_full((n, 1), -math.log(n))
    column = scores.new_full((1, k), -math.log(k))
    for iteration in range(max_iterations):
        column = -math.log(k) - torch.logsumexp(scores + row, 0, keepdim=True)
        before, row = row, -math.log(n) - torch.logsumexp(scores + column, 1, keepdim=True)
        if iteration % _LOOK_EVERY == 0 and (before - row).expm1().abs().sum() <= tolerance:
            break
    return (scores + column).argmax(1)
