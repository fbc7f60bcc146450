"""Targets that networks make for themselves out of their assignments."""

from __future__ import annotations

import torch
from torch import Tensor

_EMPTY = 1e-12  # samples: a cluster of fewer counts as one of so many


def sharpen(q: Tensor, sizes: Tensor | None = None) -> Tensor:
    r"""Squared assignments, divided by the clusters' sizes, their rows normalised.

    .. math:: p_{ik} \propto q_{ik}^2 / s_k, \quad s_k = \sum_i q_{ik}

    One-hot rows stay as they are, and so do rows that are all the same, however flat.

    Args:
        q: B x K assignment probabilities.
        sizes: K, s of all samples that they are part of; None for the sums over these rows.

    Returns:
        B x K, rows summing to 1; a cluster without samples stays without, with finite gradients.

    Source: DEC (Xie, Girshick and Farhadi, ICML 2016), equation 3; within a batch, and with gradients, CVCL (Chen et
        al., ICCV 2023).
    """
    weights = q.square() / (q.sum(0) if sizes is None else sizes).clamp_min(_EMPTY)
    return weights / weights.sum(1, keepdim=True)


def student_t(z: Tensor, centres: Tensor) -> Tensor:
    r"""Soft assignments to centres by Student's t distribution of one degree of freedom.

    .. math:: q_{ik} \propto (1 + |z_i - c_k|^2)^{-1}

    Args:
        z: B x D codes.
        centres: K x D.

    Returns:
        B x K, rows summing to 1; the nearest centre's is the largest.

    Source: DEC (Xie, Girshick and Farhadi, ICML 2016), equation 1, with alpha of 1.
    """
    squares = torch.cdist(z, centres, compute_mode="donot_use_mm_for_euclid_dist").square()
    nearness = 1 / (1 + squares)
    return nearness / nearness.sum(1, keepdim=True)


def divergence(p: Tensor, q: Tensor) -> Tensor:
    """The mean over rows of KL(p, q), in nats; of p that is 0, 0.

    Args:
        p: B x K targets.
        q: B x K assignments above 0.
    """
    return torch.nn.functional.kl_div(q.log(), p, reduction="batchmean")
