"""Sinkhorn labels against the scaling written out in double precision, and at its edges."""

import numpy as np
import pytest
import torch
from scipy.special import logsumexp

from cmc.functional import sinkhorn
from cmc.functional.sinkhorn import sinkhorn_labels


def naive(log_p, power=10, iterations=75, tolerance=1e-2):
    """The textbook scaling of a K x N matrix, in linear space, double precision."""
    p = np.exp(power * log_p.double().numpy().T)
    k, n = p.shape
    c = np.ones(n) / n
    for iteration in range(iterations):
        r = 1 / (k * (p @ c))
        new = 1 / (n * (r @ p))
        error = np.abs(c / new - 1).sum()
        c = new
        if iteration % 10 == 0 and error <= tolerance:
            break
    return (r[:, None] * p * c).argmax(0)


def log_assignments(n, k, seed, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(n, k, dtype=torch.float64, generator=generator).mul(2).log_softmax(1).to(dtype)


@pytest.mark.parametrize(("n", "k"), [(20, 2), (100, 5), (1000, 10)])
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_labels_equal_those_of_the_double_precision_reference(n, k, seed, dtype):
    log_p = log_assignments(n, k, seed, dtype)
    assert sinkhorn_labels(log_p).tolist() == naive(log_p).tolist()


@pytest.mark.parametrize("seed", range(5))
def test_assignments_far_apart_are_scaled_as_with_logarithms_throughout(seed):
    """Probabilities down to e^-3000, where nothing could be multiplied: iteration by iteration with logsumexp."""
    log_p = (300 * log_assignments(500, 6, seed)).log_softmax(1)
    scores, rows = 10 * log_p.numpy(), np.full((500, 1), -np.log(500))
    for _ in range(31):
        columns = -np.log(6) - logsumexp(scores + rows, 0, keepdims=True)
        rows = -np.log(500) - logsumexp(scores + columns, 1, keepdims=True)
    labels = sinkhorn_labels(log_p, max_iterations=31, tolerance=0)
    assert labels.tolist() == (scores + columns).argmax(1).tolist()


@pytest.mark.parametrize("kept", [0, 2**22])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_working_in_blocks_changes_no_label_and_not_its_argument(monkeypatch, kept, dtype):
    log_p = log_assignments(300, 10, 4, dtype)
    monkeypatch.setattr(sinkhorn, "_ROWS", 64)
    monkeypatch.setattr(sinkhorn, "_KEPT", kept)
    before = log_p.clone()
    assert sinkhorn_labels(log_p).tolist() == naive(log_p).tolist()
    assert torch.equal(log_p, before)


def test_a_skewed_assignment_is_balanced():
    """A head that puts nearly everything into one cluster gets labels of nearly equal sizes."""
    log_p = (log_assignments(600, 4, 0) + torch.tensor([6.0, 0, 0, 0])).log_softmax(1)
    assert torch.bincount(log_p.argmax(1), minlength=4)[0] > 550
    sizes = torch.bincount(sinkhorn_labels(log_p, max_iterations=500, tolerance=1e-6), minlength=4)
    assert sizes.min() > 100
    assert sizes.max() < 200


@pytest.mark.parametrize("value", [float("-inf"), -1e30, -1e3])
def test_probabilities_of_zero_are_no_trouble(value):
    log_p = log_assignments(30, 4, 1)
    log_p[::2, 3] = value
    log_p[1, :3] = value
    labels = sinkhorn_labels(log_p)
    assert labels.min() >= 0
    assert labels.max() < 4
    assert (labels[::2] != 3).all()
    assert labels[1] == 3


def test_a_cluster_that_has_emptied_gets_samples_again():
    log_p = log_assignments(90, 3, 2)
    log_p[:, 2] -= 400
    assert (torch.bincount(sinkhorn_labels(log_p.log_softmax(1)), minlength=3) > 15).all()


def test_shape_and_type():
    labels = sinkhorn_labels(log_assignments(7, 3, 0, torch.float32))
    assert labels.shape == (7,)
    assert labels.dtype == torch.int64
