"""The three terms of deep divergence-based clustering: closed forms, and the same by explicit double sums."""

import math

import pytest
import torch
from torch.nn import functional as F

from cmc.functional.ddc import cauchy_schwarz, corner_closeness, ddc_kernel, overlap

B, K = 12, 4
ONE_HOT = torch.eye(K, dtype=torch.float64)[torch.arange(B) % K]
BLOCKS = ONE_HOT @ ONE_HOT.T
UNIFORM = torch.full((B, K), 1 / K, dtype=torch.float64)


def drawn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def naive_kernel(h, relative):
    squares = [[((x - y) ** 2).sum() for y in h] for x in h]
    ordered = sorted(float(d) for row in squares for d in row)
    variance = relative * ordered[(len(ordered) - 1) // 2]  # the lower of the two in the middle
    return torch.stack([torch.stack([(-d / (2 * variance)).exp() for d in row]) for row in squares])


def naive_divergence(a, kernel):
    def between(k, j):
        return sum(a[i, k] * a[n, j] * kernel[i, n] for i in range(len(a)) for n in range(len(a)))

    pairs = [(k, j) for k in range(a.shape[1]) for j in range(k + 1, a.shape[1])]
    return sum(between(k, j) / (between(k, k) * between(j, j)).sqrt() for k, j in pairs) / len(pairs)


@pytest.mark.parametrize("relative", [0.15, 1.0])
def test_the_kernel_is_that_of_the_formula_and_knows_no_scale(relative):
    h = drawn(B, 5)
    torch.testing.assert_close(ddc_kernel(h, relative), naive_kernel(h, relative))
    torch.testing.assert_close(ddc_kernel(1e3 * h, relative), ddc_kernel(h, relative))


def test_no_gradient_passes_through_the_kernels_width():
    h = drawn(B, 5).requires_grad_()
    same = h.detach().clone().requires_grad_()
    variance = 0.15 * torch.cdist(h.detach(), h.detach()).square().flatten().median()
    weights = drawn(B, B, seed=1)
    (ddc_kernel(h) * weights).sum().backward()
    squares = ((same[:, None] - same) ** 2).sum(2)
    ((-squares / (2 * variance)).exp() * weights).sum().backward()
    torch.testing.assert_close(h.grad, same.grad)


def test_the_divergence_is_that_of_double_sums():
    a, kernel = drawn(B, K).softmax(1), ddc_kernel(drawn(B, 5, seed=1))
    torch.testing.assert_close(cauchy_schwarz(a, kernel), naive_divergence(a, kernel))
    closeness = corner_closeness(a)
    expected = [[math.exp(-((a[i] - torch.eye(K)[k]) ** 2).sum()) for k in range(K)] for i in range(B)]
    torch.testing.assert_close(closeness, torch.tensor(expected, dtype=torch.float64))


def test_values_of_the_divergence_that_are_known():
    kernel = ddc_kernel(drawn(B, 5))
    assert cauchy_schwarz(drawn(B, K).softmax(1), torch.ones(B, B).double()).item() == pytest.approx(1)
    assert cauchy_schwarz(UNIFORM, kernel).item() == pytest.approx(1)
    assert cauchy_schwarz(ONE_HOT, BLOCKS).item() < 1e-8
    e2, e4 = math.exp(-2), math.exp(-4)
    floor = (2 * e2 + (K - 2) * e4) / (1 + (K - 1) * e4)
    assert cauchy_schwarz(corner_closeness(ONE_HOT), BLOCKS).item() == pytest.approx(floor)
    assert floor == pytest.approx(0.29130, abs=1e-5)
    torch.testing.assert_close(corner_closeness(ONE_HOT), torch.where(ONE_HOT > 0, 1.0, e2).double())


def test_overlap_is_the_mean_over_pairs_of_samples():
    a = drawn(B, K).softmax(1)
    pairs = [(i, j) for i in range(B) for j in range(i + 1, B)]
    torch.testing.assert_close(overlap(a), sum(a[i] @ a[j] for i, j in pairs) / len(pairs))
    assert overlap(UNIFORM).item() == pytest.approx(1 / K)
    assert overlap(ONE_HOT).item() == pytest.approx((B / K - 1) / (B - 1))
    assert overlap(F.one_hot(torch.zeros(B, dtype=torch.long), K).double()).item() == pytest.approx(1)


@pytest.mark.parametrize("h", [torch.zeros(B, 3), torch.ones(B, 3), 1e18 * torch.eye(B), 1e-25 * torch.eye(B)])
@pytest.mark.parametrize("a", [UNIFORM, ONE_HOT, F.one_hot(torch.zeros(B, dtype=torch.long), K)])
def test_dull_rows_and_empty_clusters_leave_finite_values_and_gradients(h, a):
    h, a = h.float().requires_grad_(), a.float().requires_grad_()
    kernel = ddc_kernel(h)
    value = cauchy_schwarz(a, kernel) + cauchy_schwarz(corner_closeness(a), kernel) + overlap(a)
    value.backward()
    assert value.isfinite()
    assert h.grad.isfinite().all()
    assert a.grad.isfinite().all()
