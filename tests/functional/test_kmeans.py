"""k-means and column scaling against scikit-learn."""

import numpy as np
import torch
from sklearn.datasets import make_blobs
from sklearn.metrics import adjusted_rand_score
from sklearn.preprocessing import minmax_scale

from cmc.functional.kmeans import column_range, kmeans_centres, nearest


def test_columns_are_scaled_as_scikit_learn_does_and_constants_become_zero():
    x = torch.randn(20, 4, dtype=torch.float64)
    x[:, 2] = 3.0
    low, spread = column_range(x)
    np.testing.assert_allclose(((x - low) / spread).numpy(), minmax_scale(x.numpy()), atol=1e-12)
    assert (((x - low) / spread)[:, 2] == 0).all()


def kmeans(rows, n_clusters, restarts, seed):
    return nearest(rows, kmeans_centres(rows, n_clusters, restarts, seed)[0])


def test_blobs_are_found_and_a_seed_repeats():
    x, truth = make_blobs(300, centers=5, n_features=6, cluster_std=0.5, random_state=0)
    rows = torch.from_numpy(x)
    labels = kmeans(rows, 5, restarts=5, seed=0)
    assert labels.dtype == torch.int64
    assert adjusted_rand_score(truth, labels.numpy()) == 1
    assert torch.equal(labels, kmeans(rows, 5, restarts=5, seed=0))


def test_the_restart_of_least_inertia_is_kept():
    rows = torch.rand(200, 3, generator=torch.Generator().manual_seed(0))

    def inertia(labels):
        return sum(((rows[labels == k] - rows[labels == k].mean(0)) ** 2).sum().item() for k in range(8))

    many = inertia(kmeans(rows, 8, restarts=40, seed=0))
    assert all(many <= inertia(kmeans(rows, 8, restarts=1, seed=seed)) + 1e-4 for seed in range(10))
