"""Scaling of features: fitted once on the training rows, in one pass over blocks, applied wherever features go.

The state is plain tensors and strings, kept in checkpoints, so that new data are scaled as the training data were.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from cmc.data.embeddings import is_embedding
from cmc.errors import UserError
from cmc.utils.arrays import spaced

log = logging.getLogger(__name__)

SCALINGS = ("auto", "none", "l2", "standard", "minmax")
_BLOCK = 8192
_LOOKED_AT = 2000  # samples, at most, that tell an embedding
_LEAST, _MOST = 1e-12, 1e15  # of a modality's largest number, whose square float32 must hold in sums
_FAR = 1024  # spreads that a column may lie from 0 before float32 loses too many of its digits
_ROUNDING = 1e-12  # of a column in double precision: differences below are taken for errors of its making


class Scaler:
    """How each modality is scaled.

    ``auto`` leaves a modality alone that already lies in [0, 1], gives the rows of an embedding unit length
    (`cmc.data.embeddings.is_embedding`), and min-max scales the columns of any other; ``l2`` gives rows unit length;
    ``standard`` gives columns mean 0 and variance 1; ``minmax`` maps columns to [0, 1]. A constant column becomes 0; a
    row of zeros stays so. Where float32 would lose what tells samples apart, as in a column of 1e8 and small
    differences, columns are scaled in double precision.

    Attributes:
        kinds: modality -> what is done to it: ``none``, ``l2``, ``standard`` or ``minmax``.
    """

    def __init__(self) -> None:
        self.kinds: dict[str, str] = {}
        self._affine: dict[str, tuple[Tensor, Tensor]] = {}

    def fit(
        self,
        features: Mapping[str, np.ndarray],
        rows: np.ndarray | None,
        scaling: str,
        present: np.ndarray | None = None,
    ) -> Scaler:
        """Read the statistics that ``scaling`` needs.

        Args:
            features: modality -> N x d.
            rows: the rows to read, None for all.
            scaling: ``auto``, ``none``, ``l2``, ``standard`` or ``minmax``.
            present: N x M, whether a sample has a modality; rows that are not there are not read. None where all are.

        Raises:
            UserError: every sample is the same; numbers that are left as they are and whose squares float32 cannot
                hold.
        """
        constant, given = [], rows
        for m, (name, x) in enumerate(features.items()):
            rows = given if present is None else there(present[:, m], given)
            low, high = _range(x, rows)
            constant += [name] if (low == high).all() else []
            self.kinds[name] = scaling
            if scaling == "auto":
                self.kinds[name] = _automatic(name, x, rows, low, high)
            if self.kinds[name] == "minmax":
                self._affine[name] = _affine(low, high - low, x.dtype)
            elif self.kinds[name] == "standard":
                self._affine[name] = _affine(*_moments(x, rows), x.dtype)
            else:
                _check_unscaled(name, self.kinds[name], low, high)
        _tell_constant(constant, len(features))
        return self

    def is_fine(self, name: str) -> bool:
        """Whether a modality is to be scaled in double precision."""
        if name not in self._affine:
            return False
        shift, spread = (vector[self._affine[name][1].isfinite()] for vector in self._affine[name])
        if not len(shift):
            return False
        far = (shift.abs() > _FAR * spread).any() or shift.abs().max() > _MOST
        return bool(far or spread.min() < _LEAST or spread.max() > _MOST)

    def __call__(self, name: str, x: Tensor) -> Tensor:
        """Scale rows ``x`` (B x d) of modality ``name``."""
        if self.kinds[name] == "l2":
            return unit_rows(x)
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


def _automatic(name: str, x: np.ndarray, rows: np.ndarray | None, low: np.ndarray, high: np.ndarray) -> str:
    """What ``auto`` does to a modality whose columns have this range."""
    if low.min() >= 0 and high.max() <= 1 and not 0 < high.max() < _LEAST:
        return "none"
    seen = spaced(len(x) if rows is None else len(rows), _LOOKED_AT)
    largest = max(-low.min(), high.max())
    if not _LEAST <= largest <= _MOST or not is_embedding(
        np.asarray(x[seen if rows is None else rows[seen]], np.float64)
    ):
        return "minmax"
    log.info(
        "data: modality %r looks like an embedding: rows to unit length (data.scaling=minmax: columns to [0, 1])", name
    )
    return "l2"


def there(present: np.ndarray, rows: np.ndarray | None) -> np.ndarray:
    """Of the chosen rows (None for all) those that are there, by ``present`` of all N."""
    return np.flatnonzero(present) if rows is None else rows[present[rows]]


def unit_rows(x: Tensor) -> Tensor:
    """Rows (of N x d) of length 1; a row of zeros stays so. Squares neither overflow nor vanish."""
    exponent = torch.frexp(x.abs().amax(1, keepdim=True)).exponent.clamp(-126, 126)
    return F.normalize(torch.ldexp(x, -exponent), dim=1)  # a power of 2 changes no digit


def blocks(x: np.ndarray, rows: np.ndarray | None = None) -> Iterator[np.ndarray]:
    """Yield float64 blocks of the chosen rows of ``x``, in order, a few thousand at a time."""
    n = len(x) if rows is None else len(rows)
    for start in range(0, n, _BLOCK):
        stop = min(start + _BLOCK, n)
        yield np.asarray(x[start:stop] if rows is None else x[rows[start:stop]], dtype=np.float64)


def _range(x: np.ndarray, rows: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """Minimum and maximum of each column."""
    low, high = np.full(x.shape[1], np.inf), np.full(x.shape[1], -np.inf)
    for block in blocks(x, rows):
        low, high = np.minimum(low, block.min(0)), np.maximum(high, block.max(0))
    return low, high


def _moments(x: np.ndarray, rows: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of each column, merged over blocks (Chan et al., 1979)."""
    count, mean, squares = 0, np.zeros(x.shape[1]), np.zeros(x.shape[1])
    for block in blocks(x, rows):
        n, block_mean = len(block), block.mean(0)
        difference = block_mean - mean
        squares += ((block - block_mean) ** 2).sum(0) + difference**2 * (count * n / (count + n))
        mean += difference * (n / (count + n))
        count += n
    return mean, np.sqrt(squares / count)


def _tell_constant(names: list[str], n_modalities: int) -> None:
    if len(names) == n_modalities:
        raise UserError("all samples are the same in every modality: there is nothing to cluster")
    for name in names:
        log.warning("data: modality %r is the same in every sample, and tells none apart", name)


def _check_unscaled(name: str, scaling: str, low: np.ndarray, high: np.ndarray) -> None:
    """Refuse columns that go without shift or spread where float32 cannot do with them."""
    largest = max(-low.min(), high.max())
    if scaling == "none" and largest and not _LEAST <= largest <= _MOST:
        raise UserError(
            f"data.scaling: none given, but the largest number of modality {name!r} is {largest:.3g}, whose square "
            "float32 cannot hold: give minmax, standard or l2"
        )
    varies = high > low
    if varies.any() and (np.float32(low) == np.float32(high))[varies].all():
        raise UserError(
            f"data.scaling: {scaling} given, but the columns of modality {name!r} lie so far from 0 that float32 loses "
            "what tells samples apart: give minmax or standard"
        )


def _affine(shift: np.ndarray, spread: np.ndarray, dtype: np.dtype[Any]) -> tuple[Tensor, Tensor]:
    """As tensors, with an endless spread for a column whose differences are rounding errors of its type."""
    rounding = (np.finfo(np.float32).eps if dtype.itemsize <= 4 else _ROUNDING) if dtype.kind == "f" else 0.0
    constant = spread <= rounding * np.abs(shift)
    return torch.from_numpy(shift), torch.from_numpy(np.where(constant, np.inf, spread))
