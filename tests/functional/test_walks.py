"""Random walks among samples, and the contrast whose targets they are, against closed forms."""

import math

import pytest
import torch
from torch.nn import functional as F

from cmc.functional.contrastive import nt_xent, soft_info_nce
from cmc.functional.walks import walk_targets


def rows(n=8, d=5, seed=0):
    g = torch.Generator().manual_seed(seed)
    return F.normalize(torch.randn(n, d, generator=g, dtype=torch.float64), dim=1)


def test_walks_are_powers_of_how_near_rows_are():
    z = rows()
    found = walk_targets(z, 0.3, 3, 0.4)
    step = torch.stack([torch.stack([(-(a - b).square().sum() / 0.3).exp() for b in z]) for a in z])
    step = step / step.sum(1, keepdim=True)
    torch.testing.assert_close(found, 0.4 * torch.eye(8, dtype=torch.float64) + 0.6 * step @ step @ step)
    torch.testing.assert_close(found.sum(1), torch.ones(8, dtype=torch.float64))


def test_rows_that_are_all_the_same_share_evenly():
    found = walk_targets(rows()[:1].expand(6, -1), 0.1, 5, 0.5)
    expected = 0.5 * torch.eye(6, dtype=torch.float64) + 0.5 / 6
    torch.testing.assert_close(found, expected)


def test_in_blocks_far_apart_walks_stay_in_their_block():
    """Of b samples: alpha + (1 - alpha) / b for a sample itself, (1 - alpha) / b for the block, 0 outside."""
    block = torch.arange(12) // 4
    found = walk_targets(torch.eye(5, dtype=torch.float64)[block], 1e-3, 5, 0.3)
    inside = (block[:, None] == block).double() * 0.7 / 4
    torch.testing.assert_close(found, inside + 0.3 * torch.eye(12, dtype=torch.float64))


def test_alpha_of_1_leaves_the_identity():
    assert torch.equal(walk_targets(rows(), 0.1, 5, 1.0), torch.eye(8, dtype=torch.float64))


def test_with_the_identity_for_targets_it_is_cross_entropy():
    a, b = rows(), rows(seed=1)
    found = soft_info_nce(a, b, torch.eye(8, dtype=torch.float64), 0.5)
    torch.testing.assert_close(found, F.cross_entropy(a @ b.T / 0.5, torch.arange(8)))


def test_uniform_targets_give_the_mean_over_all_rows():
    a, b = rows(), rows(seed=1)
    found = soft_info_nce(a, b, torch.full((8, 8), 3.0, dtype=torch.float64), 0.5)
    each = [F.cross_entropy(a @ b.T / 0.5, torch.full((8,), j)) for j in range(8)]
    torch.testing.assert_close(found, sum(each) / 8)


def test_parts_of_a_batch_average_to_the_whole():
    a, b = rows(), rows(seed=1)
    targets = walk_targets(b, 0.3, 2, 0.5)
    parts = [soft_info_nce(x, b, t, 0.5) * len(x) / 8 for x, t in zip(a.split(5), targets.split(5), strict=True)]
    torch.testing.assert_close(sum(parts), soft_info_nce(a, b, targets, 0.5))


def test_nt_xent_that_keeps_all_is_nt_xent():
    a, b = rows(), rows(seed=1)
    torch.testing.assert_close(nt_xent(a, b, 0.5, keep=torch.ones(8, 8)), nt_xent(a, b, 0.5))


def test_nt_xent_that_keeps_nothing_has_negatives_of_similarity_0():
    a, b = rows(), rows(seed=1)
    positive = (a * b).sum(1) / 0.5
    expected = ((positive.exp() + 14).log() - positive).mean()
    torch.testing.assert_close(nt_xent(a, b, 0.5, keep=torch.zeros(8, 8)), expected)


@pytest.mark.parametrize("start", [0, 3])
def test_nt_xent_of_a_part_keeps_by_the_parts_rows(start):
    a, b = rows(), rows(seed=1)
    keep = torch.rand(8, 8, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    part = slice(start, start + 5)
    found = nt_xent(a[part], b[part], 0.5, (a, b), start, keep=keep[part])
    every = torch.cat([a, b])
    total = 0.0
    for i in [*range(start, start + 5), *range(8 + start, 13 + start)]:
        own, other = i % 8, (i + 8) % 16
        logits = [(1 if j == other else keep[own, j % 8]) * (every[i] @ every[j]) / 0.5 for j in range(16) if j != i]
        total += math.log(sum(math.exp(x) for x in logits)) - (every[i] @ every[other]).item() / 0.5
    assert found.item() == pytest.approx(total / 10)
