"""Contrastive objectives of CMMC: NT-Xent over samples, NT-Xent over clusters, and the balance of cluster sizes.

Xu et al., "Contrastive Multi-Modal Clustering", arXiv 2106.11193; "Multi-level Feature Learning for Contrastive
Multi-view Clustering", CVPR 2022. Every function is one of the *global* batch.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F


def nt_xent(a: Tensor, b: Tensor, temperature: float) -> Tensor:
    r"""Normalised temperature-scaled cross-entropy between paired rows.

    With the 2n rows of ``a`` and ``b`` stacked, the positive of a row is its partner in the other tensor and all
    other 2n - 2 rows are negatives:

    .. math:: \frac{1}{2n} \sum_i -\log \frac{e^{s(i, i^+)}}{\sum_{j \ne i} e^{s(i, j)}}, \quad s(i, j) = r_i r_j / \tau

    Args:
        a: n x d, rows of unit length.
        b: n x d, rows of unit length; row i belongs with row i of ``a``.
        temperature: tau, above 0.

    Returns:
        A scalar in nats.

    Source: MFLVC, the feature contrastive loss of L_H.
    """
    n = a.shape[0]
    rows = torch.cat((a, b))
    similarity = (rows @ rows.T) / temperature
    similarity = similarity.fill_diagonal_(-math.inf)
    partner = torch.arange(2 * n, device=a.device).roll(n)
    return F.cross_entropy(similarity, partner)


def cluster_contrast(a: Tensor, b: Tensor, temperature: float) -> Tensor:
    """NT-Xent over the 2K columns of two assignment matrices, compared by their cosine.

    Args:
        a: n x K assignment probabilities of one modality.
        b: n x K assignment probabilities of another.
        temperature: above 0.

    Returns:
        A scalar in nats. An empty cluster (a column of zeros) has similarity 0 to every other.

    Source: MFLVC, the label contrastive loss of L_Q.
    """
    return nt_xent(F.normalize(a.T, dim=1), F.normalize(b.T, dim=1), temperature)


def cluster_imbalance(assignment: Tensor) -> Tensor:
    r"""How far the mean cluster sizes are from uniform: log K + sum_k s_k log s_k, the KL divergence to 1/K.

    Args:
        assignment: n x K assignment probabilities.

    Returns:
        A scalar in nats, 0 for equal sizes and log K for one cluster alone. 0 log 0 is 0, with a finite gradient.

    Source: MFLVC, the regulariser of L_Q, with the constant log K added so that its least value is 0.
    """
    size = assignment.mean(0)
    log_size = size.clamp_min(torch.finfo(size.dtype).tiny).log()
    return math.log(assignment.shape[1]) + (size * log_size).sum()
