"""NT-Xent, cluster contrast and imbalance against loops and closed forms, in float64, with gradients."""

import math

import pytest
import torch
from torch.nn import functional as F

from cmc.functional.contrastive import cluster_contrast, cluster_imbalance, cluster_products, nt_xent


def naive_nt_xent(a, b, temperature):
    """The sum over rows, written out with Python loops and no masks."""
    rows = [*a, *b]
    n = len(a)
    total = 0.0
    for i, row in enumerate(rows):
        positive = (i + n) % (2 * n)
        exps = [torch.exp(row @ other / temperature) for j, other in enumerate(rows) if j != i]
        total = total - torch.log(torch.exp(row @ rows[positive] / temperature) / sum(exps))
    return total / (2 * n)


def unit_rows(n, d, seed):
    return F.normalize(torch.randn(n, d, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)), dim=1)


@pytest.mark.parametrize("n", [1, 2, 7])
@pytest.mark.parametrize("temperature", [0.1, 0.5, 1.0])
def test_nt_xent_equals_the_loop_in_value_and_gradient(n, temperature):
    a, b = unit_rows(n, 5, 0).requires_grad_(), unit_rows(n, 5, 1).requires_grad_()
    ours, naive = nt_xent(a, b, temperature), naive_nt_xent(a, b, temperature)
    torch.testing.assert_close(ours, naive, rtol=1e-12, atol=1e-12)
    for mine, theirs in zip(torch.autograd.grad(ours, (a, b)), torch.autograd.grad(naive, (a, b)), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-10, atol=1e-12)


def test_nt_xent_of_orthogonal_pairs_has_a_closed_form():
    """Each row sees its positive at similarity 1 and 2n - 2 negatives at 0."""
    n, temperature = 4, 0.5
    a = torch.eye(n, dtype=torch.float64)
    expected = -math.log(math.exp(1 / temperature) / (math.exp(1 / temperature) + 2 * n - 2))
    assert nt_xent(a, a, temperature).item() == pytest.approx(expected, rel=1e-12)


def test_nt_xent_passes_gradcheck():
    a, b = unit_rows(4, 3, 2).requires_grad_(), unit_rows(4, 3, 3).requires_grad_()
    assert torch.autograd.gradcheck(lambda x, y: nt_xent(x, y, 0.5), (a, b))


def test_nt_xent_is_symmetric_and_knows_partners():
    a, b = unit_rows(6, 4, 4), unit_rows(6, 4, 5)
    torch.testing.assert_close(nt_xent(a, b, 0.5), nt_xent(b, a, 0.5))
    assert nt_xent(a, a, 0.5) < nt_xent(a, a.roll(1, 0), 0.5)


def assignments(n, k, seed):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(n, k, dtype=torch.float64, generator=generator).mul(2).softmax(1)


def test_cluster_contrast_is_nt_xent_over_normalised_columns():
    a, b = assignments(9, 4, 0).requires_grad_(), assignments(9, 4, 1).requires_grad_()
    columns = [torch.stack([q[:, k] / q[:, k].norm() for k in range(4)]) for q in (a, b)]
    ours, naive = cluster_contrast(cluster_products(a, b), 1.0), naive_nt_xent(*columns, 1.0)
    torch.testing.assert_close(ours, naive, rtol=1e-12, atol=1e-12)
    for mine, theirs in zip(torch.autograd.grad(ours, (a, b)), torch.autograd.grad(naive, (a, b)), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-9, atol=1e-12)


def test_cluster_imbalance_is_the_divergence_from_uniform():
    q = assignments(50, 6, 2)
    s = q.mean(0)
    expected = torch.distributions.kl_divergence(
        torch.distributions.Categorical(s), torch.distributions.Categorical(torch.full_like(s, 1 / 6))
    )
    torch.testing.assert_close(cluster_imbalance(q), expected, rtol=1e-12, atol=1e-12)


def test_cluster_imbalance_at_its_ends():
    equal = torch.eye(5, dtype=torch.float64)
    assert cluster_imbalance(equal).item() == pytest.approx(0, abs=1e-12)
    single = torch.zeros(8, 5, dtype=torch.float64)
    single[:, 2] = 1
    assert cluster_imbalance(single).item() == pytest.approx(math.log(5), rel=1e-12)


@pytest.mark.parametrize(
    "objective", [cluster_imbalance, lambda q: cluster_contrast(cluster_products(q, q.roll(1, 0)), 1.0)]
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_empty_clusters_leave_value_and_gradient_finite(objective, dtype):
    logits = torch.zeros(6, 4, dtype=dtype)
    logits[:, 3] = -1e4  # softmax underflows to exactly 0
    logits.requires_grad_()
    value = objective(logits.softmax(1))
    value.backward()
    assert torch.isfinite(value)
    assert torch.isfinite(logits.grad).all()


def test_gradient_of_imbalance_grows_a_small_cluster():
    logits = torch.zeros(4, 3, dtype=torch.float64)
    logits[:, 0] = 3.0
    logits.requires_grad_()
    cluster_imbalance(logits.softmax(1)).backward()
    assert (logits.grad[:, 0] > 0).all()
    assert (logits.grad[:, 1:] < 0).all()
