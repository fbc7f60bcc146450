"""Sharpened targets: fixed points, a naive loop, and shares of a batch."""

import pytest
import torch

from cmc.functional.contrastive import cluster_contrast, cluster_products, nt_xent
from cmc.functional.kmeans import nearest
from cmc.functional.targets import divergence, sharpen, student_t


def assignments(n=12, k=4, seed=0):
    g = torch.Generator().manual_seed(seed)
    return torch.randn(n, k, generator=g, dtype=torch.float64).softmax(1)


def test_it_is_the_square_over_the_clusters_size():
    q = assignments()
    for i, row in enumerate(sharpen(q)):
        weights = [q[i, k] ** 2 / sum(q[j, k] for j in range(12)) for k in range(4)]
        torch.testing.assert_close(row, torch.stack(weights) / sum(weights))


def test_certain_rows_and_rows_that_are_all_the_same_stay():
    one_hot = torch.eye(4)[torch.arange(10) % 3]  # the last cluster is empty
    assert torch.equal(sharpen(one_hot), one_hot)
    flat = torch.tensor([0.1, 0.2, 0.7]).repeat(5, 1)
    torch.testing.assert_close(sharpen(flat), flat)


def test_parts_of_a_batch_are_sharpened_by_the_sizes_of_all():
    q = assignments()
    parts = [sharpen(part, q.sum(0)) for part in q.split(5)]
    torch.testing.assert_close(torch.cat(parts), sharpen(q))
    assert not torch.allclose(sharpen(q[:5]), sharpen(q)[:5])


@pytest.mark.parametrize("q", [torch.eye(3)[torch.zeros(4, dtype=torch.long)], torch.tensor([[1e-30, 1.0, 0.0]] * 3)])
def test_an_empty_cluster_stays_empty_with_finite_gradients(q):
    q = q.requires_grad_()
    p = sharpen(q)
    (p * torch.randn(p.shape)).sum().backward()
    assert p.isfinite().all()
    assert q.grad.isfinite().all()


def test_the_contrast_of_sharpened_columns_is_nt_xent_of_them():
    p, r = sharpen(assignments()), sharpen(assignments(seed=1))
    products = cluster_products(p, r)
    unit = [x.T / x.T.norm(dim=1, keepdim=True) for x in (p, r)]
    torch.testing.assert_close(cluster_contrast(products, 0.7), nt_xent(*unit, 0.7))
    torch.testing.assert_close(cluster_contrast(products, 0.7, cosine=False), nt_xent(p.T, r.T, 0.7))


@pytest.mark.parametrize(("n", "k", "tau"), [(12, 3, 1.0), (40, 4, 2.0), (250, 5, 1.0)])
def test_inner_products_of_balanced_clusters_grow_with_the_samples_a_cluster(n, k, tau):
    q = torch.eye(k, dtype=torch.float64)[torch.arange(n) % k]
    found = cluster_contrast(cluster_products(q, q), tau, cosine=False)
    expected = torch.tensor(1 + (2 * k - 2) * torch.e ** (-n / (k * tau)), dtype=torch.float64).log()
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-12)


def codes(n=12, d=5, k=4, seed=0):
    g = torch.Generator().manual_seed(seed)
    z, centres = (
        torch.randn(n, d, generator=g, dtype=torch.float64),
        torch.randn(k, d, generator=g, dtype=torch.float64),
    )
    return z.requires_grad_(), centres.requires_grad_()


def test_students_t_is_that_of_a_loop_and_highest_at_the_nearest_centre():
    z, centres = codes()
    q = student_t(z, centres)
    for x, row in zip(z, q, strict=True):
        weights = torch.stack([1 / (1 + ((x - c) ** 2).sum()) for c in centres])
        torch.testing.assert_close(row, weights / weights.sum())
    assert torch.equal(q.argmax(1), nearest(z, centres))


def test_the_gradient_of_the_divergence_is_that_of_dec():
    """2 sum_k (1 + d_ik^2)^-1 (p_ik - q_ik)(z_i - c_k) for a code, its opposite summed over codes for a centre."""
    z, centres = codes()
    q = student_t(z, centres)
    p = sharpen(q).detach()
    assert divergence(p, q) > 0
    (divergence(p, q) * len(z)).backward()
    between = z.detach()[:, None] - centres.detach()
    pull = 2 * ((p - q.detach()) / (1 + between.square().sum(2)))[:, :, None] * between
    torch.testing.assert_close(z.grad, pull.sum(1))
    torch.testing.assert_close(centres.grad, -pull.sum(0))


def test_a_code_on_a_centre_has_a_finite_gradient_and_is_not_divided_by_0():
    _, centres = codes(n=4)
    q = student_t(centres, centres)
    assert torch.equal(q.argmax(1), torch.arange(4))
    divergence(torch.eye(4, dtype=torch.float64), q).backward()
    assert centres.grad.isfinite().all()


def test_the_divergence_of_equals_is_0_and_certain_targets_leave_cross_entropy():
    q = assignments()
    torch.testing.assert_close(divergence(q, q), torch.zeros((), dtype=torch.float64), atol=1e-12, rtol=0)
    labels = torch.arange(12) % 4
    expected = torch.nn.functional.nll_loss(q.log(), labels)
    torch.testing.assert_close(divergence(torch.eye(4, dtype=torch.float64)[labels], q), expected)
