"""k-means on the rows of a tensor: the pseudo labels of CMMC's align phase, and the baselines."""

from __future__ import annotations

import torch
from torch import Tensor


def column_range(x: Tensor) -> tuple[Tensor, Tensor]:
    """Least value and spread of each column of an N x d tensor; the spread of a constant column is 1.

    ``(x - low) / spread`` lies in [0, 1]; a constant column becomes 0.
    """
    low, high = x.amin(0), x.amax(0)
    spread = high - low
    return low, torch.where(spread > 0, spread, torch.ones_like(spread))


def kmeans_centres(x: Tensor, n_clusters: int, restarts: int, seed: int) -> tuple[Tensor, float]:
    """Cluster rows by k-means (scikit-learn's), keeping the restart of least inertia.

    It runs on one thread: sums are then added in one order, so that the centres are the same bit for bit, and many
    small restarts do not wait for each other's threads.

    Args:
        x: N x d.
        n_clusters: K, at most N.
        restarts: how many k-means++ starts are tried.
        seed: of the starts.

    Returns:
        K x d centres on the device of ``x``, and the mean squared distance to them; `nearest` gives the labels.
    """
    from sklearn.cluster import KMeans
    from threadpoolctl import threadpool_limits

    with threadpool_limits(limits=1):
        model = KMeans(n_clusters, n_init=restarts, random_state=seed).fit(x.float().cpu().numpy())
    return torch.from_numpy(model.cluster_centers_).to(x.device), model.inertia_ / len(x)


def nearest(x: Tensor, centres: Tensor) -> Tensor:
    """The centre (K x d) that is nearest to each row (B x d): B numbers in 0..K-1, int64."""
    return torch.cdist(x.double(), centres.double()).argmin(1)
