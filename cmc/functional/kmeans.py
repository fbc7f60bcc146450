"""k-means on the rows of a tensor, all restarts side by side: pseudo labels, and clusters where no head gives them."""

from __future__ import annotations

import math

import torch
from torch import Tensor

_NUMBERS = 2**24  # of distances held at once
_ITERATIONS = 300
_SAME = 1e-4  # relative differences of inertia that rounding may make: of such restarts the first is kept
_TOLERANCE = 1e-4  # of the columns' mean variance: a smaller movement of the centres ends a restart


def column_range(x: Tensor) -> tuple[Tensor, Tensor]:
    """Least value and spread of each column of an N x d tensor; the spread of a constant column is 1.

    ``(x - low) / spread`` lies in [0, 1]; a constant column becomes 0.
    """
    low, high = x.amin(0), x.amax(0)
    spread = high - low
    return low, torch.where(spread > 0, spread, torch.ones_like(spread))


def kmeans_centres(x: Tensor, n_clusters: int, restarts: int, seed: int) -> Tensor:
    """Lloyd's iterations from greedy k-means++ starts, keeping the restart of least inertia.

    Restarts share their matrix products, so that a hundred of them take a few seconds on a CPU and less on a GPU
    (docs/speed.md compares them with scikit-learn's, which stop by the same rule). A cluster that empties keeps its
    centre.

    Args:
        x: N x d.
        n_clusters: K, at most N.
        restarts: how many starts are tried.
        seed: of the starts, which are the same on every device.

    Returns:
        K x d centres, in the precision of ``x``, at least float32; `nearest` gives the labels.

    Source: D. Arthur and S. Vassilvitskii, *k-means++: the advantages of careful seeding*, SODA 2007.
    """
    x = x if x.dtype == torch.float64 else x.float()
    middle, generator = x.mean(0), torch.Generator().manual_seed(seed)
    x = x - middle
    least, found = math.inf, x[:n_clusters]
    at_once = max(1, _NUMBERS // (len(x) * max(n_clusters, _trials(n_clusters))))
    for done in range(0, restarts, at_once):
        starts = _starts(x, n_clusters, min(at_once, restarts - done), generator)
        centres, inertia = _iterated(x, starts)
        best = int((inertia <= inertia.min() * (1 + _SAME)).nonzero()[0])
        if float(inertia[best]) < least * (1 - _SAME):
            least, found = float(inertia[best]), centres[best]
    return found + middle


def nearest(x: Tensor, centres: Tensor) -> Tensor:
    """The centre (K x d) that is nearest to each row (B x d): B numbers in 0..K-1, int64."""
    return torch.cdist(x.double(), centres.double()).argmin(1)


def memberships(squares: Tensor, variance: Tensor) -> Tensor:
    """How probably each centre is a row's: posteriors of normal clusters, all of one size and one variance.

    Of such clusters k-means is the most probable assignment: the largest probability is that of the nearest centre.

    Args:
        squares: ... x K squared distances to the centres.
        variance: of a column within the clusters, a scalar; 0 gives the nearest centre probability 1.

    Returns:
        ... x K, in the precision of ``squares``.
    """
    nearer = squares - squares.amin(-1, keepdim=True)
    return (-nearer / (2 * variance).clamp_min(torch.finfo(squares.dtype).tiny)).softmax(-1)


def _trials(n_clusters: int) -> int:
    """Candidates for each next centre, as in scikit-learn."""
    return 2 + int(math.log(n_clusters))


def _starts(x: Tensor, n_clusters: int, restarts: int, generator: torch.Generator) -> Tensor:
    """Greedy k-means++: each next centre is the best of a few rows drawn by their squared distance; R x K x d."""
    squares = x.square().sum(1)

    def distances(rows: Tensor) -> Tensor:
        return (squares - 2 * x[rows] @ x.T + squares[rows].unsqueeze(-1)).clamp_min_(0)

    first = torch.randint(len(x), (restarts, 1), generator=generator).to(x.device)
    chosen, closest, each = [first], distances(first).squeeze(1), torch.arange(restarts, device=x.device)
    for _ in range(1, n_clusters):
        sums = closest.cumsum(1)
        drawn = torch.rand(restarts, _trials(n_clusters), generator=generator).to(x) * sums[:, -1:]
        rows = torch.searchsorted(sums, drawn).clamp_max_(len(x) - 1)
        closer = torch.minimum(closest.unsqueeze(1), distances(rows))
        best = closer.sum(2).argmin(1)
        closest = closer[each, best]
        chosen.append(rows[each, best].unsqueeze(1))
    return x[torch.cat(chosen, 1)]


def _iterated(x: Tensor, centres: Tensor) -> tuple[Tensor, Tensor]:
    """Lloyd's iterations of R x K x d centres, until each restart's stand still; the centres, and R inertias."""
    tolerance = _TOLERANCE * x.var(0, correction=0).mean()
    moving = torch.arange(len(centres), device=x.device)
    for _ in range(_ITERATIONS):
        old = centres[moving]
        near = _nearness(x, old)
        members = (near == near.amax(1, keepdim=True)).to(x)
        sizes = members.sum(2, keepdim=True)
        new = torch.where(sizes > 0, (members.flatten(0, 1) @ x).view_as(old) / sizes.clamp_min(1), old)
        centres[moving] = new
        moving = moving[(new - old).square().sum((1, 2)) > tolerance]
        if not len(moving):
            break
    return centres, (x.square().sum() - 2 * _nearness(x, centres).amax(1).sum(1)).clamp_min(0)


def _nearness(x: Tensor, centres: Tensor) -> Tensor:
    """Of R x K centres to N rows, R x K x N: the squared distance is |x|^2 less twice this."""
    flat = centres.flatten(0, 1)
    return torch.addmm(flat.square().sum(1, keepdim=True), flat, x.T, beta=-0.5).view(*centres.shape[:2], len(x))
