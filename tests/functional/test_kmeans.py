"""k-means and column scaling against scikit-learn."""

import numpy as np
import torch
from sklearn.cluster import KMeans
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
    return nearest(rows, kmeans_centres(rows, n_clusters, restarts, seed))


def inertia(rows, centres):
    """Sum of squared distances to the nearest centre, by NumPy."""
    return ((rows.numpy()[:, None] - centres.numpy()) ** 2).sum(2).min(1).sum()


def test_blobs_are_found_and_a_seed_repeats():
    x, truth = make_blobs(300, centers=5, n_features=6, cluster_std=0.5, random_state=0)
    rows = torch.from_numpy(x)
    labels = kmeans(rows, 5, restarts=5, seed=0)
    assert labels.dtype == torch.int64
    assert adjusted_rand_score(truth, labels.numpy()) == 1
    assert torch.equal(labels, kmeans(rows, 5, restarts=5, seed=0))


def test_as_good_as_scikit_learns():
    """Overlapping clusters have many optima, of which few restarts find an ordinary one and many the same best one."""
    x = make_blobs(600, centers=15, n_features=4, cluster_std=2.5, random_state=0)[0].astype(np.float32)
    ours = [inertia(torch.from_numpy(x), kmeans_centres(torch.from_numpy(x), 8, 1, seed)) for seed in range(30)]
    theirs = [KMeans(8, n_init=1, random_state=seed).fit(x).inertia_ for seed in range(30)]
    assert abs(np.mean(ours) / np.mean(theirs) - 1) < 0.01
    best = KMeans(8, n_init=100, random_state=0).fit(x).inertia_
    assert inertia(torch.from_numpy(x), kmeans_centres(torch.from_numpy(x), 8, 100, 0)) <= 1.002 * best


def test_centres_are_the_means_of_their_rows():
    rows = 5 + torch.rand(200, 3, generator=torch.Generator().manual_seed(0))
    centres = kmeans_centres(rows, 6, 20, 0)
    labels = nearest(rows, centres)
    means = torch.stack([rows[labels == k].mean(0) for k in range(6)])
    torch.testing.assert_close(centres, means, atol=0.02, rtol=0)


def test_the_restart_of_least_inertia_is_kept(monkeypatch):
    rows = torch.rand(200, 3, generator=torch.Generator().manual_seed(0))
    many = inertia(rows, kmeans_centres(rows, 8, 40, seed=0))
    assert all(many <= inertia(rows, kmeans_centres(rows, 8, 1, seed)) * 1.001 for seed in range(10))
    monkeypatch.setattr("cmc.functional.kmeans._NUMBERS", 8 * 200 * 7)
    in_parts = inertia(rows, kmeans_centres(rows, 8, 40, seed=0))
    assert in_parts <= 1.01 * many


def test_fewer_different_rows_than_clusters():
    rows = torch.tensor([[0.0, 0.0], [1.0, 1.0]]).repeat(10, 1)
    centres = kmeans_centres(rows, 4, 3, 0)
    assert centres.isfinite().all()
    assert inertia(rows, centres) < 1e-10


def test_rounding_does_not_choose_among_equal_restarts():
    """Restarts that reach one partition differ in the last bits alone, which differ from machine to machine."""
    x, _ = make_blobs(400, centers=6, n_features=5, random_state=1)
    rows = torch.from_numpy(x)
    found = kmeans_centres(rows, 6, 30, 0)
    for seed in range(5):
        shaken = rows * (1 + 1e-12 * torch.randn(rows.shape, generator=torch.Generator().manual_seed(seed)).double())
        torch.testing.assert_close(kmeans_centres(shaken, 6, 30, 0), found, rtol=1e-9, atol=1e-9)
    assert found.dtype == torch.float64
    torch.testing.assert_close(kmeans_centres(rows.float(), 6, 30, 0).double(), found, rtol=1e-4, atol=1e-4)
