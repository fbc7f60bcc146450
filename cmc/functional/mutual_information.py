"""Mutual information of two modalities' assignments, through their C x C joint table.

Mao et al., "Deep Mutual Information Maximin for Cross-Modal Clustering", AAAI 2021. The table is one product of two
n x C matrices: nothing of size n x C x C is ever made. Every function is one of the *global* batch.
"""

from __future__ import annotations

import torch
from torch import Tensor


def joint_table(a: Tensor, b: Tensor, symmetric: bool = False, of: int | None = None) -> Tensor:
    r"""The joint distribution of two modalities' clusters, :math:`J = \frac{1}{n} \sum_i p_i^a (p_i^b)^T`.

    Args:
        a: n x C assignment probabilities of one modality.
        b: n x C assignment probabilities of the other, of the same samples.
        symmetric: average J with its transpose, as is right for two views that one encoder cannot tell apart. For
            different modalities that has false optima: swapped pairs of clusters, and each modality using its own
            half of the clusters; see `cmc.methods.dmim_released.ReleasedDMIM`.
        of: n, where these are a part of so many samples; the tables of all parts then add up to that of the whole.

    Returns:
        C x C, summing to 1; rows are clusters of ``a``.

    Source: DMIM, the shared-information term; the symmetric form is that of IIC (Ji et al., ICCV 2019).
    """
    joint = a.T @ b / (a.shape[0] if of is None else of)
    return (joint + joint.T) / 2 if symmetric else joint


def mutual_information(joint: Tensor) -> Tensor:
    r"""Mutual information of a joint table, :math:`\sum_{kl} J_{kl} \log \frac{J_{kl}}{J_{k\cdot} J_{\cdot l}}`.

    Args:
        joint: C x C' probabilities that sum to 1.

    Returns:
        A scalar in nats, from 0 to log min(C, C'). Entries and margins are floored at the smallest normal number
        inside the logarithms, so that value and gradient stay finite at empty clusters.

    Source: DMIM, the shared-information term.
    """
    floor = torch.finfo(joint.dtype).tiny
    rows, columns = joint.sum(1, keepdim=True), joint.sum(0, keepdim=True)
    ratio = joint.clamp_min(floor).log() - rows.clamp_min(floor).log() - columns.clamp_min(floor).log()
    return (joint * ratio).sum()


def information_and_entropy(joint: Tensor, alpha: float) -> Tensor:
    r"""Minus the mutual information of a joint table and ``alpha`` times the entropies of both its margins, summed.

    The least value, -(1 + 2 alpha) log C, is that of C entries of equal size that determine each other; a table whose
    rows are all alike, which shares nothing, has -2 alpha log C: at alpha of 9 the information is a twentieth of it.

    Args:
        joint: C x C probabilities that sum to 1, of `joint_table`.
        alpha: weight of the entropies.

    Returns:
        A scalar in nats.

    Source: COMPLETER (Lin et al., CVPR 2021), the cross-view contrastive loss.
    """
    floor = torch.finfo(joint.dtype).tiny
    entropies: Tensor = torch.cat([torch.special.entr(joint.sum(dim).clamp_min(floor)) for dim in (0, 1)])
    return -mutual_information(joint) - alpha * entropies.sum()
