"""k-means on the rows of a tensor: the pseudo labels of CMMC's align phase, and the baselines."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


def scale_columns(x: Tensor) -> Tensor:
    """Min-max scale each column of an N x d tensor to [0, 1]; a constant column becomes 0."""
    low, high = x.amin(0), x.amax(0)
    spread = high - low
    return (x - low) / torch.where(spread > 0, spread, torch.ones_like(spread))


def kmeans(x: Tensor, n_clusters: int, restarts: int, seed: int) -> Tensor:
    """Cluster rows by k-means (scikit-learn's), keeping the restart of least inertia.

    It runs on one thread: sums are then added in one order, so that the labels are the same bit for bit, and many
    small restarts do not wait for each other's threads.

    Args:
        x: N x d.
        n_clusters: K, at most N.
        restarts: how many k-means++ starts are tried.
        seed: of the starts; the same seed gives the same labels.

    Returns:
        N labels in 0..K-1, int64, on the device of ``x``.
    """
    return torch.from_numpy(_fitted(x, n_clusters, restarts, seed).labels_).long().to(x.device)


def kmeans_centres(x: Tensor, n_clusters: int, restarts: int, seed: int) -> tuple[Tensor, float]:
    """The K x d centres that `kmeans` ends with, on the device of ``x``, and the mean squared distance to them."""
    model = _fitted(x, n_clusters, restarts, seed)
    return torch.from_numpy(model.cluster_centers_).to(x.device), model.inertia_ / len(x)


def nearest(x: Tensor, centres: Tensor) -> Tensor:
    """The centre (K x d) that is nearest to each row (B x d): B numbers in 0..K-1, int64."""
    return torch.cdist(x.double(), centres.double()).argmin(1)


def _fitted(x: Tensor, n_clusters: int, restarts: int, seed: int) -> Any:
    from sklearn.cluster import KMeans
    from threadpoolctl import threadpool_limits

    with threadpool_limits(limits=1):
        return KMeans(n_clusters, n_init=restarts, random_state=seed).fit(x.float().cpu().numpy())
