"""Which samples have which modality: a sample that lacks one has a whole row of NaN in its matrix."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cmc.errors import UserError

CHECKED_AT_ONCE = 2**24  # bytes of a modality in memory while its numbers are checked


def presence(
    features: Mapping[str, NDArray[Any]], at_once: int | None = None
) -> tuple[NDArray[np.bool_] | None, dict[str, int]]:
    """Check that all numbers are finite, but for whole rows of NaN.

    Args:
        features: modality -> N x d, of real numbers; read in blocks.
        at_once: bytes of a block.

    Returns:
        N x M, whether a sample has a modality, None where all have all; and modality -> how many samples lack it, of
        those that some lack.

    Raises:
        UserError: another number that is not finite as float32; a sample that has no modality at all.
    """
    columns = [_there(name, array, at_once or CHECKED_AT_ONCE) for name, array in features.items()]
    found = dict(zip(features, columns, strict=True))
    lacking = {name: int((~there).sum()) for name, there in found.items() if there is not None}
    if not lacking:
        return None, {}
    n = len(next(iter(features.values())))
    present = np.stack([np.ones(n, bool) if there is None else there for there in columns], axis=1)
    if (nothing := ~present.any(1)).any():
        raise UserError(f"row {int(nothing.argmax())} has no modality at all; leave that sample out")
    return present, lacking


def _there(name: str, array: NDArray[Any], at_once: int) -> NDArray[np.bool_] | None:
    """N, whether a row is there; None where all are."""
    if array.dtype.kind != "f":
        return None
    gone: list[NDArray[np.intp]] = []
    step = max(1, at_once // (array.shape[1] * array.itemsize))
    for start in range(0, len(array), step):
        block = array[start : start + step]
        with np.errstate(over="ignore"):
            finite = np.isfinite(block.astype(np.float32, copy=False))
        if not finite.all():
            gone.append(start + _gone(name, block, finite, start))
    if not gone:
        return None
    there = np.ones(len(array), bool)
    there[np.concatenate(gone)] = False
    return there


def _gone(name: str, block: NDArray[Any], finite: NDArray[np.bool_], start: int) -> NDArray[np.intp]:
    """The rows of a block that are NaN throughout; all others must be finite."""
    empty = np.asarray(np.isnan(block).all(1))
    wrong = ~finite & ~empty[:, None]
    if wrong.any():
        row, column = np.argwhere(wrong)[0]
        raise UserError(
            f"modality {name!r}, row {start + row}, column {column} is {block[row, column]}: give finite numbers "
            "within float32's range, or NaN in the whole row where a sample lacks this modality (rows and columns "
            "counted from 0)"
        )
    return np.flatnonzero(empty)


def check_learnable(present: NDArray[np.bool_], names: Sequence[str], n_clusters: int) -> None:
    """Refuse gaps that leave too little to learn from.

    Args:
        present: N x M, whether a training sample has a modality.
        names: of the modalities.
        n_clusters: K.

    Raises:
        UserError: a modality that fewer than K samples have; modalities that no samples tie together.
    """
    for name, count in zip(names, present.sum(0).tolist(), strict=True):
        if count < n_clusters:
            raise UserError(
                f"modality {name!r} is there for {count} of {len(present)} training samples, fewer than the "
                f"{n_clusters} clusters: leave it out, or give more samples that have it"
            )
    tied = _tied(present)
    if len(tied) < len(names):
        ours, others = (
            " or ".join(repr(name) for m, name in enumerate(names) if (m in tied) == is_tied)
            for is_tied in (True, False)
        )
        raise UserError(
            f"no training sample has {ours} together with {others}: what they share, and which of their clusters are "
            "the same, cannot be learned; give samples that have both, or cluster them apart"
        )


def _tied(present: NDArray[np.bool_]) -> set[int]:
    """The modalities that are tied to the first one by samples which have both, directly or by way of others."""
    together = present.T.astype(np.int64) @ present.astype(np.int64)
    found, looked = {0}, set[int]()
    while left := found - looked:
        m = left.pop()
        looked.add(m)
        found |= set(np.flatnonzero(together[m]).tolist())
    return found


def told(present: NDArray[np.bool_], lacking: Mapping[str, int]) -> str:
    """How many samples lack what, in a line."""
    counts = ", ".join(f"{count} lack {name}" for name, count in lacking.items())
    return f"of {len(present)} samples {counts}; {int(present.all(1).sum())} lack none"
