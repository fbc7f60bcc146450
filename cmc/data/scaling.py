"""Scaling of features: fitted once on the training rows, in one pass over blocks, applied wherever features go.

The state is plain tensors and strings, kept in checkpoints, so that new data are scaled as the training data were.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

_BLOCK = 8192


class Scaler:
    """How each modality is scaled.

    ``auto`` leaves a modality alone that already lies in [0, 1] and min-max scales the columns of any other; ``l2``
    gives rows unit length; ``standard`` gives columns mean 0 and variance 1; ``minmax`` maps columns to [0, 1]. A
    constant column becomes 0; a row of zeros stays so.

    Attributes:
        kinds: modality -> what is done to it: ``none``, ``l2``, ``standard`` or ``minmax``.
    """

    def __init__(self) -> None:
        self.kinds: dict[str, str] = {}
        self._affine: dict[str, tuple[Tensor, Tensor]] = {}

    def fit(self, features: Mapping[str, np.ndarray], rows: np.ndarray | None, scaling: str) -> Scaler:
        """Read the statistics that ``scaling`` needs.

        Args:
            features: modality -> N x d.
            rows: the rows to read, None for all.
            scaling: ``auto``, ``none``, ``l2``, ``standard`` or ``minmax``.
        """
        for name, x in features.items():
            self.kinds[name] = scaling
            if scaling in ("none", "l2"):
                continue
            low, high, mean, deviation = _statistics(x, rows)
            if scaling == "auto":
                self.kinds[name] = "none" if low.min() >= 0 and high.max() <= 1 else "minmax"
            if self.kinds[name] == "minmax":
                self._affine[name] = _affine(low, high - low)
            elif self.kinds[name] == "standard":
                self._affine[name] = _affine(mean, deviation)
        return self

    def __call__(self, name: str, x: Tensor) -> Tensor:
        """Scale rows ``x`` (B x d) of modality ``name``."""
        if self.kinds[name] == "l2":
            return F.normalize(x, dim=1)
        if name not in self._affine:
            return x
        shift, spread = (vector.to(x) for vector in self._affine[name])
        return (x - shift) / spread

    def state_dict(self) -> dict[str, Any]:
        """Plain strings and tensors."""
        return {"kinds": dict(self.kinds), "affine": dict(self._affine)}

    @property
    def widths(self) -> dict[str, int]:
        """Modality -> width, of those whose columns are scaled."""
        return {name: len(shift) for name, (shift, _) in self._affine.items()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over what ``state_dict`` gave."""
        self.kinds = dict(state["kinds"])
        self._affine = {name: (shift.clone(), spread.clone()) for name, (shift, spread) in state["affine"].items()}


def blocks(x: np.ndarray, rows: np.ndarray | None = None) -> Iterator[np.ndarray]:
    """Yield float64 blocks of the chosen rows of ``x``, in order, a few thousand at a time."""
    n = len(x) if rows is None else len(rows)
    for start in range(0, n, _BLOCK):
        stop = min(start + _BLOCK, n)
        yield np.asarray(x[start:stop] if rows is None else x[rows[start:stop]], dtype=np.float64)


def _statistics(x: np.ndarray, rows: np.ndarray | None) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Minimum, maximum, mean and standard deviation of each column, merged over blocks (Chan et al., 1979)."""
    count, mean, squares = 0, np.zeros(x.shape[1]), np.zeros(x.shape[1])
    low, high = np.full(x.shape[1], np.inf), np.full(x.shape[1], -np.inf)
    for block in blocks(x, rows):
        low, high = np.minimum(low, block.min(0)), np.maximum(high, block.max(0))
        n, block_mean = len(block), block.mean(0)
        difference = block_mean - mean
        squares += ((block - block_mean) ** 2).sum(0) + difference**2 * (count * n / (count + n))
        mean += difference * (n / (count + n))
        count += n
    return low, high, mean, np.sqrt(squares / count)


def _affine(shift: np.ndarray, spread: np.ndarray) -> tuple[Tensor, Tensor]:
    constant = spread <= np.finfo(np.float32).eps * np.abs(shift)
    return torch.from_numpy(shift), torch.from_numpy(np.where(constant, 1.0, spread))
