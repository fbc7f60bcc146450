"""Contrastive objectives of CMMC: NT-Xent over samples, NT-Xent over clusters, and the balance of cluster sizes.

Xu et al., "Contrastive Multi-Modal Clustering", arXiv 2106.11193; "Multi-level Feature Learning for Contrastive
Multi-view Clustering", CVPR 2022. Every function is one of the *global* batch.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F


def nt_xent(
    a: Tensor,
    b: Tensor,
    temperature: float,
    among: tuple[Tensor, Tensor] | None = None,
    offset: int = 0,
    of: float | None = None,
    keep: Tensor | None = None,
) -> Tensor:
    r"""Normalised temperature-scaled cross-entropy between paired rows.

    With the 2n rows of ``a`` and ``b`` stacked, the positive of a row is its partner in the other tensor and all
    other 2n - 2 rows are negatives:

    .. math:: \frac{1}{2n} \sum_i -\log \frac{e^{s(i, i^+)}}{\sum_{j \ne i} e^{s(i, j)}}, \quad s(i, j) = r_i r_j / \tau

    Args:
        a: n x d, rows of unit length.
        b: n x d, rows of unit length; row i belongs with row i of ``a``.
        temperature: tau, above 0.
        among: both modalities' rows of the whole batch, N x d each, where ``a`` and ``b`` are a part of it; the result
            is then the mean over the part's rows.
        offset: the position of the part's first row in the batch.
        of: what the sum over pairs is divided by, where they are some of so many samples; None for their own number.
        keep: n x N, what the similarity to a negative is multiplied by, in whichever tensor either stands (GCFAgg);
            None for 1. The positive's stays.

    Returns:
        A scalar in nats.

    Source: MFLVC, the feature contrastive loss of L_H.
    """
    whole = (a, b) if among is None else among
    own = torch.arange(offset, offset + a.shape[0], device=a.device)
    own, partner = torch.cat((own, own + len(whole[0]))), torch.cat((own + len(whole[0]), own))
    similarity = (torch.cat((a, b)) @ torch.cat(whole).T) / temperature
    if keep is not None:
        similarity = similarity * keep.repeat(2, 2).scatter(1, partner[:, None], 1.0)
    similarity = similarity.scatter(1, own[:, None], -math.inf)
    if of is not None:
        return F.cross_entropy(similarity, partner, reduction="sum") / (2 * of)
    return F.cross_entropy(similarity, partner)


def soft_info_nce(a: Tensor, b: Tensor, targets: Tensor, temperature: float) -> Tensor:
    r"""Cross-entropy between weights of other rows, and how near they are; of the pairs across a and b alone.

    .. math:: \frac{1}{n} \sum_i CE(T_i / |T_i|_1, softmax_j(a_i b_j / \tau))

    Args:
        a: n x d, rows of unit length.
        b: N x d, rows of unit length, of the whole batch.
        targets: n x N weights of at least 0; the identity leaves InfoNCE of one direction.
        temperature: tau, above 0.

    Returns:
        A scalar in nats.

    Source: DIVIDE (Lu et al., AAAI 2024).
    """
    return F.cross_entropy(a @ b.T / temperature, targets / targets.sum(1, keepdim=True))


def cluster_products(a: Tensor, b: Tensor) -> Tensor:
    """Inner products of the 2K columns of two assignment matrices; those of parts of a batch add up.

    Args:
        a: n x K assignment probabilities of one modality.
        b: n x K assignment probabilities of another.

    Returns:
        2K x 2K.
    """
    columns = torch.cat((a, b), 1)
    return columns.T @ columns


def cluster_contrast(products: Tensor, temperature: float, cosine: bool = True) -> Tensor:
    """NT-Xent over the 2K columns of two assignment matrices, compared by their cosine.

    Args:
        products: 2K x 2K, of `cluster_products` over the whole batch.
        temperature: above 0.
        cosine: false compares by inner products, which grow with the samples a cluster.

    Returns:
        A scalar in nats. An empty cluster (a column of zeros) has similarity 0 to every other.

    Source: MFLVC, the label contrastive loss of L_Q.
    """
    length = products.diagonal().clamp_min(1e-24).sqrt()
    similarity = (products / (length[:, None] * length) if cosine else products) / temperature
    partner = torch.arange(len(products), device=products.device).roll(len(products) // 2)
    similarity.diagonal().fill_(-math.inf)  # which torch.vmap knows, as it does not know fill_diagonal_
    return F.cross_entropy(similarity, partner)


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
