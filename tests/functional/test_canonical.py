"""Canonical correlation analysis against scikit-learn's and against the eigenvalue problem that it solves."""

import numpy as np
import pytest
import torch
from scipy.linalg import block_diag, eigh, subspace_angles
from sklearn.cross_decomposition import CCA

from cmc.functional.canonical import canonical_projections


def sample(widths, n=300, shared=3):
    rng = np.random.default_rng(0)
    common = rng.normal(size=(n, shared)) * [3, 2, 1]
    return [common @ rng.normal(size=(shared, d)) + rng.normal(size=(n, d)) + 5 for d in widths]


def variates(xs, components, **settings):
    found = canonical_projections([torch.from_numpy(x) for x in xs], components, **settings)
    return [(x - x.mean(0)) @ a.numpy() for x, a in zip(xs, found, strict=True)]


def test_two_modalities_are_scikit_learns():
    xs = sample([7, 5])
    own = variates(xs, 3)
    theirs = CCA(3, max_iter=20_000, tol=1e-14).fit(*xs).transform(*xs)
    for mine, other in zip(own, theirs, strict=True):
        for k in range(3):
            assert abs(np.corrcoef(mine[:, k], other[:, k])[0, 1]) == pytest.approx(1, abs=1e-6)
        assert np.abs(subspace_angles(mine, other)).max() < 1e-3
    common = sum(own)
    np.testing.assert_allclose(common.T @ common, np.eye(3), atol=1e-9)


@pytest.mark.parametrize("regularization", [0.0, 0.3])
def test_three_modalities_solve_the_eigenvalue_problem(regularization):
    """(1/M) sum of the regularised projectors onto the modalities has the common columns as eigenvectors."""
    xs = [x - x.mean(0) for x in sample([7, 5, 4])]
    common = sum(variates(xs, 4, regularization=regularization))
    ridges = [regularization * (x**2).sum() / x.shape[1] * np.eye(x.shape[1]) for x in xs]
    everything = np.hstack(xs)
    within = block_diag(*(x.T @ x + ridge for x, ridge in zip(xs, ridges, strict=True)))
    _, vectors = eigh(everything.T @ everything, within)
    assert np.abs(subspace_angles(common, everything @ vectors[:, ::-1][:, :4])).max() < 1e-6
    np.testing.assert_allclose(common.T @ common, np.eye(4), atol=1e-9)


def test_dependent_and_constant_columns_change_nothing():
    x, y = sample([7, 5])
    copied = np.hstack([x, x[:, :2] + x[:, 2:4], np.ones((len(x), 1))])
    plain, more = sum(variates([x, y], 3)), sum(variates([copied, y], 3))
    assert np.abs(subspace_angles(plain, more)).max() < 1e-6


def test_components_that_are_not_there_are_zero():
    x, y = sample([2, 2])
    flat = x[:, :1] @ np.ones((1, 2))
    common = sum(variates([flat, flat], 2))
    assert np.abs(common[:, 0]).max() > 0.01
    assert np.abs(common[:, 1]).max() == 0
    assert not np.any(sum(variates([0 * x, 0 * y], 2)))
