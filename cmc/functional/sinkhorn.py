"""Balanced pseudo labels by Sinkhorn-Knopp: each sample one label, clusters of equal mass."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor

_LOOK_EVERY = 10
_ROWS = 2**16  # that are worked on at once, at most
_KEPT = 2**22  # numbers that are kept in double precision, and the most of a block


@torch.no_grad()
def sinkhorn_labels(
    log_assignment: Tensor, power: float = 10.0, max_iterations: int = 75, tolerance: float = 1e-2
) -> Tensor:
    r"""Scale :math:`p^{power}` until rows have mass 1/N and columns 1/K; label each sample by its largest entry.

    Scalings are kept as logarithms and in double precision, so that probabilities of any size, 0 included, neither
    overflow nor vanish. It stops when sum_i |c_i / c_i' - 1| is at most ``tolerance``, c the row scalings of the last
    two iterations, looked at every 10th iteration. Row scalings follow from the K column scalings and are never kept:
    beside the argument it needs the 8 bytes a sample that it returns, and 96 MiB at most.

    Args:
        log_assignment: N x K logarithms of assignment probabilities; minus infinity is a probability of 0.
        power: of the probabilities: a softmax temperature of 1/power.
        max_iterations: at most so many, at least 1.
        tolerance: where the scaling counts as finished.

    Returns:
        N labels in 0..K-1, int64, on the device of the argument.

    Source: DMIM, the uniform-distribution constraint; the scheme is that of SeLa (Asano et al., ICLR 2020).
    """
    n, k = log_assignment.shape
    at_once = max(1, min(n, _ROWS, _KEPT // k))
    # large blocks that are asked for again and again leave holes in memory: these two serve throughout
    held, work = (log_assignment.new_empty(k * at_once, dtype=torch.float64) for _ in range(2))

    def blocks() -> Iterator[Tensor]:
        for block in torch.split(log_assignment, at_once):
            yield held[: block.numel()].view(k, -1).copy_(block.t()).mul_(power).clamp_min_(-1e6)

    def plus(scores: Tensor, column: Tensor) -> Tensor:
        return torch.add(scores, column, out=work[: scores.numel()].view(k, -1))

    kept = [scores.clone() for scores in blocks()] if n * k <= _KEPT else None
    before, column = None, held.new_zeros(k, 1)
    sums = [_logsumexp(plus(scores, column), 1) for scores in kept or blocks()]
    column = math.log(n / k) - torch.logsumexp(torch.cat(sums, 1), 1, keepdim=True)
    for iteration in range(max_iterations):
        if iteration:
            # never 0: each column has 1/K before rows are scaled, no row more than 1, so that at least 1/(KN) is left
            masses = torch.stack([_masses(plus(scores, column)) for scores in kept or blocks()]).sum(0) / n
            before, column = column, column - (k * masses).log()
        if iteration % _LOOK_EVERY == 0:
            change = held.new_zeros(())
            for scores in kept or blocks():
                now = _logsumexp(plus(scores, column), 0)
                change += (now if before is None else now - _logsumexp(plus(scores, before), 0)).expm1().abs().sum()
            if change <= tolerance:
                break
    labels = torch.empty(n, dtype=torch.long, device=log_assignment.device)
    for scores, part in zip(kept or blocks(), torch.split(labels, at_once), strict=True):
        part.copy_(plus(scores, column).argmax(0))
    return labels


def _logsumexp(scaled: Tensor, dim: int) -> Tensor:
    """As PyTorch's, of finite numbers, which are overwritten."""
    most = scaled.amax(dim, keepdim=True)
    return scaled.sub_(most).exp_().sum(dim, keepdim=True).log_().add_(most)


def _masses(scaled: Tensor) -> Tensor:
    """Sums over samples (K x 1) of logarithms (K x N, overwritten) once each sample has mass 1."""
    scaled.sub_(scaled.amax(0)).exp_()
    return scaled @ scaled.sum(0).reciprocal().unsqueeze(1)
