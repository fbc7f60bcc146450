"""The contingency table of predicted clusters and classes, from which every score is computed.

The K_pred x K_true table counts the samples of every predicted cluster (row) that belong to every class (column).
Tables of disjoint parts of a data set add up to the table of the whole, which is all that batches and processes need.
"""

from __future__ import annotations

import torch
from torch import Tensor

_INTEGERS = (torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64)


def contingency_table(clusters: Tensor, classes: Tensor, n_clusters: int, n_classes: int) -> Tensor:
    """Count the samples in every pair of predicted cluster and class.

    Args:
        clusters: (N,) integer labels in 0..K_pred-1.
        classes: (N,) integer labels in 0..K_true-1, of the same samples, on the same device.
        n_clusters: K_pred.
        n_classes: K_true.

    Returns:
        (K_pred, K_true) int64 counts, on the device of the labels, that sum to N.

    Raises:
        ValueError: if the two differ in length, are not integer vectors, or hold a label out of range.

    Example:
        >>> contingency_table(torch.tensor([0, 0, 1]), torch.tensor([2, 2, 0]), n_clusters=2, n_classes=3)
        tensor([[0, 0, 2],
                [1, 0, 0]])
    """
    clusters = _checked("clusters", clusters, n_clusters)
    classes = _checked("classes", classes, n_classes)
    if len(clusters) != len(classes):
        raise ValueError(f"clusters and classes must have the same length, got {len(clusters)} and {len(classes)}")
    cells = torch.bincount(clusters * n_classes + classes, minlength=n_clusters * n_classes)
    return cells.view(n_clusters, n_classes)


def _checked(name: str, labels: Tensor, bound: int) -> Tensor:
    """``labels`` as int64, once they are known to be a vector of integers in 0..bound-1."""
    if labels.ndim != 1 or labels.dtype not in _INTEGERS:
        raise ValueError(f"{name} must be a vector of integers, got {labels.dtype} of the shape {tuple(labels.shape)}")
    labels = labels.long()
    if len(labels):
        low, high = (int(value) for value in labels.aminmax())
        if low < 0 or high >= bound:
            raise ValueError(f"{name} must lie in 0..{bound - 1}, got labels from {low} to {high}")
    return labels
