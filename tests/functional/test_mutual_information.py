"""Mutual information against loops, an n x C x C tensor, scikit-learn and closed forms; false optima of symmetry."""

import math

import pytest
import torch
from sklearn.metrics import mutual_info_score

from cmc.functional.mutual_information import information_and_entropy, joint_table, mutual_information


def assignments(n, c, seed, sharpness=2.0):
    generator = torch.Generator().manual_seed(seed)
    return (sharpness * torch.randn(n, c, dtype=torch.float64, generator=generator)).softmax(1)


def naive(a, b, symmetric):
    """The n x C x C outer products, then a double loop."""
    joint = (a[:, :, None] * b[:, None, :]).sum(0)
    joint = (joint + joint.T) / 2 if symmetric else joint
    joint = joint / joint.sum()
    total = 0.0
    for k, row in enumerate(joint):
        for m, value in enumerate(row):
            total = total + value * torch.log(value / (joint[k].sum() * joint[:, m].sum()))
    return total


@pytest.mark.parametrize("symmetric", [False, True])
@pytest.mark.parametrize(("n", "c"), [(1, 2), (7, 3), (40, 6)])
def test_equals_the_naive_form_in_value_and_gradient(symmetric, n, c):
    a, b = assignments(n, c, 0).requires_grad_(), assignments(n, c, 1).requires_grad_()
    ours, loops = mutual_information(joint_table(a, b, symmetric)), naive(a, b, symmetric)
    torch.testing.assert_close(ours, loops, rtol=1e-10, atol=1e-12)
    for mine, theirs in zip(torch.autograd.grad(ours, (a, b)), torch.autograd.grad(loops, (a, b)), strict=True):
        # the naive form normalises the table, which changes the gradient by a multiple of 1 along each row's sum
        difference = mine - theirs
        torch.testing.assert_close(difference, difference.mean().expand_as(difference), rtol=1e-9, atol=1e-12)


def test_gradient_through_the_softmax_equals_the_naive_one():
    logits = [torch.randn(9, 4, dtype=torch.float64, requires_grad=True) for _ in range(2)]
    p = [x.softmax(1) for x in logits]
    ours = torch.autograd.grad(mutual_information(joint_table(*p)), logits, retain_graph=True)
    loops = torch.autograd.grad(naive(*p, False), logits)
    for mine, theirs in zip(ours, loops, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-9, atol=1e-13)


def test_of_hard_labels_it_is_scikit_learns():
    generator = torch.Generator().manual_seed(3)
    a, b = (torch.randint(0, 5, (200,), generator=generator) for _ in range(2))
    one_hot = [torch.nn.functional.one_hot(x, 5).double() for x in (a, b)]
    ours = mutual_information(joint_table(*one_hot)).item()
    assert ours == pytest.approx(mutual_info_score(a, b), rel=1e-10)


@pytest.mark.parametrize("symmetric", [False, True])
def test_agreement_on_equal_clusters_is_the_maximum(symmetric):
    p = torch.eye(6, dtype=torch.float64).repeat(5, 1)
    assert mutual_information(joint_table(p, p, symmetric)).item() == pytest.approx(math.log(6), rel=1e-12)


def test_independent_assignments_have_none():
    a = torch.full((8, 4), 0.25, dtype=torch.float64)
    assert mutual_information(joint_table(a, assignments(8, 4, 1))).item() == pytest.approx(0, abs=1e-12)


def test_symmetric_tables_have_a_false_optimum_in_halves_of_the_clusters():
    """Modality a uses clusters 0..K/2-1, b the others, one to one: K/2 real clusters, yet the maximum, log K."""
    k = 8
    halves = torch.arange(40) % (k // 2)
    a = torch.nn.functional.one_hot(halves, k).double()
    b = torch.nn.functional.one_hot(halves + k // 2, k).double()
    assert mutual_information(joint_table(a, b, symmetric=True)).item() == pytest.approx(math.log(k), rel=1e-12)
    assert mutual_information(joint_table(a, b)).item() == pytest.approx(math.log(k // 2), rel=1e-12)


def test_symmetric_tables_reward_constants_that_carry_nothing():
    a, b = (torch.nn.functional.one_hot(torch.full((10,), k), 4).double() for k in (1, 2))
    assert mutual_information(joint_table(a, b, symmetric=True)).item() == pytest.approx(math.log(2), rel=1e-12)
    assert mutual_information(joint_table(a, b)).item() == pytest.approx(0, abs=1e-12)


def test_symmetric_tables_take_swapped_pairs_for_agreement():
    a = torch.nn.functional.one_hot(torch.arange(12) % 4, 4).double()
    swapped = a[:, [1, 0, 3, 2]]
    assert mutual_information(joint_table(a, swapped, symmetric=True)).item() == pytest.approx(math.log(4), rel=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("symmetric", [False, True])
def test_empty_clusters_leave_value_and_gradient_finite(dtype, symmetric):
    logits = torch.zeros(6, 4, dtype=dtype)
    logits[:, 2] = -1e4
    logits.requires_grad_()
    p = logits.softmax(1)
    value = mutual_information(joint_table(p, p.roll(1, 0), symmetric))
    value.backward()
    assert torch.isfinite(value)
    assert torch.isfinite(logits.grad).all()


@pytest.mark.parametrize(
    ("d", "alpha", "value"), [(128, 9.0, -92.189), (64, 9.0, -79.019), (10, 0.5, -2 * math.log(10))]
)
def test_information_and_entropy_at_its_ends(d, alpha, value):
    codes = torch.eye(d, dtype=torch.float64)
    assert information_and_entropy(joint_table(codes, codes), alpha).item() == pytest.approx(value, abs=1e-3)
    flat = torch.full((6, d), 1 / d, dtype=torch.float64)
    assert information_and_entropy(joint_table(flat, flat), alpha).item() == pytest.approx(-2 * alpha * math.log(d))
    corner = codes[[0] * 6].requires_grad_()
    constant = information_and_entropy(joint_table(corner, corner, symmetric=True), alpha)
    assert constant.item() == pytest.approx(0, abs=1e-9)
    constant.backward()
    assert corner.grad.isfinite().all()
