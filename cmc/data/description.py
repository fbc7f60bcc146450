"""What a data set holds, told before anything is trained."""

from __future__ import annotations

from hashlib import blake2b
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from cmc.data.modalities import UNLABELLED, Modalities
from cmc.data.scaling import blocks


class Columns(NamedTuple):
    """Figures of one modality, as it was read.

    Attributes:
        width: d.
        least: the smallest number.
        most: the largest.
        zeros: the share of numbers that are 0.
        constant: columns that are the same in all samples.
        repeated: samples whose row some sample before has, too.
    """

    width: int
    least: float
    most: float
    zeros: float
    constant: int
    repeated: int


def columns(features: NDArray[np.generic], rows: NDArray[np.intp] | None = None) -> Columns:
    """Look at the given rows (of N x d; None for all), a few thousand at a time."""
    low, high = np.full(features.shape[1], np.inf), np.full(features.shape[1], -np.inf)
    zeros, seen = 0, set[bytes]()
    for block in blocks(features, rows):
        low, high = np.minimum(low, block.min(0)), np.maximum(high, block.max(0))
        zeros += int((block == 0).sum())
        seen.update(blake2b(row.tobytes(), digest_size=16).digest() for row in block + 0.0)  # of -0 the same as of 0
    n = len(features) if rows is None else len(rows)
    constant, repeated = int((low == high).sum()), n - len(seen)
    return Columns(features.shape[1], low.min(), high.max(), zeros / (n * features.shape[1]), constant, repeated)


def class_sizes(data: Modalities) -> dict[str, int]:
    """Class -> samples; nothing without labels."""
    if data.labels is None or data.classes is None:
        return {}
    known = data.labels[data.labels != UNLABELLED]
    return dict(zip(data.classes, np.bincount(known, minlength=len(data.classes)).tolist(), strict=True))
