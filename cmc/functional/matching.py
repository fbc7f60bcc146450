"""One-to-one matching of clusters: to classes when they are scored, to earlier clusters when they are renamed."""

from __future__ import annotations

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from cmc.functional.contingency import contingency_table


def match(table: Tensor) -> Tensor:
    """Match rows to columns one to one, so that the matched entries have the largest possible sum.

    Args:
        table: (R, C) real or integer weights, on any device. They are compared in float64, so integers are told apart
            up to 2**53.

    Returns:
        (R,) int64, on the device of ``table``: the column of every row; -1 for the R - C rows left over where R > C.

    Raises:
        ValueError: if ``table`` is not a matrix, or holds NaN or plus infinity.

    Source:
        Kuhn, *The Hungarian method for the assignment problem*, 1955; the variant of Crouse (2016) that scipy has.

    Example:
        >>> match(torch.tensor([[1, 9], [8, 7], [2, 3]]))
        tensor([ 1,  0, -1])
    """
    if table.ndim != 2:
        raise ValueError(f"table must be a matrix, got the shape {tuple(table.shape)}")
    rows, columns = linear_sum_assignment(table.detach().cpu().double().numpy(), maximize=True)
    partners = torch.full((table.shape[0],), -1, dtype=torch.int64)
    partners[torch.from_numpy(rows)] = torch.from_numpy(columns)
    return partners.to(table.device)


def rename(labels: Tensor, reference: Tensor, n_clusters: int) -> Tensor:
    """Rename clusters so that they agree with a reference labelling on as many samples as possible.

    The clusters stay the same sets of samples: their names are permuted.

    Args:
        labels: (N,) integer labels in 0..K-1.
        reference: (N,) integer labels in 0..K-1 of the same samples.
        n_clusters: K.

    Returns:
        (N,) int64 labels in 0..K-1.

    Raises:
        ValueError: if the two differ in length, are not integer vectors, or leave 0..K-1.

    Example:
        >>> rename(torch.tensor([0, 0, 1, 2]), torch.tensor([2, 2, 0, 0]), n_clusters=3)
        tensor([2, 2, 0, 1])
    """
    return match(contingency_table(labels, reference, n_clusters, n_clusters))[labels.long()]
