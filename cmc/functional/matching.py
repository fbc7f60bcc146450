"""One-to-one matching of clusters: to classes when they are scored, to other clusters when they are renamed."""

from __future__ import annotations

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor


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
