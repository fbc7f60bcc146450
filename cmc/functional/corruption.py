"""How batches are corrupted so that what is learnt of them does not depend on any one modality."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def drop_modalities(n: int, n_modalities: int, share: float) -> Tensor:
    """Draw which modalities of which samples are kept.

    Args:
        n: samples.
        n_modalities: M.
        share: of the samples that lose some: exactly the largest whole number of them that is not above it.

    Returns:
        M x n, false where a modality is dropped. A sample that loses some keeps at least one: each proper subset is as
        likely.

    Source: RML (Xu et al., arXiv 2503.04151), its simulated missing data; that subsets are equally likely is ours.
    """
    losing = torch.randperm(n)[: math.floor(share * n + 1e-9)]
    subsets = torch.randint(1, 2**n_modalities - 1, (len(losing),))
    kept = torch.ones(n_modalities, n, dtype=torch.bool)
    kept[:, losing] = (subsets >> torch.arange(n_modalities)[:, None]) % 2 == 1
    return kept


def draw_noise(n: int, like: Tensor, share: float, deviation: float) -> Tensor:
    """Draw noise for some of the rows of a modality: normal numbers, or zeros.

    Args:
        n: rows.
        like: B x d; d, dtype and device of the result.
        share: how probable it is that a row gets any.
        deviation: of the numbers.

    Source: RML (Xu et al., arXiv 2503.04151), its simulated noise.
    """
    hit = torch.rand(n, 1, dtype=like.dtype, device=like.device) < share
    return deviation * torch.randn(n, like.shape[1], dtype=like.dtype, device=like.device) * hit
