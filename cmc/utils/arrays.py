"""Which of many samples are looked at where all would be too many."""

from __future__ import annotations

import numpy as np


def spaced(n: int, at_most: int) -> np.ndarray:
    """Positions of at most so many of n samples, evenly spaced, the first and the last among them; ascending."""
    return np.unique(np.linspace(0, n - 1, min(at_most, n)).astype(np.int64))
