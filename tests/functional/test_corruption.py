"""Corruption of batches: exact counts, proper subsets, and how often."""

import pytest
import torch

from cmc.functional.corruption import draw_noise, drop_modalities


@pytest.mark.parametrize(("share", "losing"), [(0.0, 0), (0.25, 250), (0.3333, 333), (0.75, 750), (1.0, 1000)])
@pytest.mark.parametrize("m", [2, 3, 5])
def test_so_many_samples_lose_some_modalities_and_none_loses_all(share, losing, m):
    torch.manual_seed(0)
    kept = drop_modalities(1000, m, share)
    assert kept.shape == (m, 1000)
    there = kept.sum(0)
    assert (there < m).sum() == losing
    assert there.min() >= 1


def test_every_proper_subset_is_as_likely():
    torch.manual_seed(0)
    codes = (drop_modalities(6000, 3, 1.0) * torch.tensor([1, 2, 4])[:, None]).sum(0)
    counts = torch.bincount(codes, minlength=8)
    assert (counts[0], counts[7]) == (0, 0)
    assert (counts[1:7] - 1000).abs().max() < 130


def test_noise_is_on_so_many_rows_and_of_this_deviation():
    torch.manual_seed(0)
    noise = draw_noise(4000, torch.zeros(7, 5, dtype=torch.float64), 0.25, 0.4)
    hit = noise.abs().sum(1) > 0
    assert hit.double().mean().item() == pytest.approx(0.25, abs=0.03)
    assert noise[hit].std().item() == pytest.approx(0.4, abs=0.02)
    assert noise.dtype == torch.float64
    assert not draw_noise(50, noise, 0.0, 0.4).any()
