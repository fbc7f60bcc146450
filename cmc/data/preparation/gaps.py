"""A modality that some samples lack: their rows are NaN, and the others are made as if these were all."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from cmc.data.preparation.distribution import Rows
from cmc.data.preparation.extraction import Block, Modality
from cmc.errors import UserError


class Gapped(Modality):
    """An array in the making, for more samples than have it; a last step writes NaN for the others.

    Args:
        inner: of the samples that have it.
        at: their rows, ascending.
        n: of all samples.
    """

    def __init__(self, inner: Modality, at: Rows, n: int) -> None:
        super().__init__(inner.name, inner.width, inner.steps + 1, inner.fingerprint)
        self._inner, self._at, self._gone = inner, at, np.setdiff1d(np.arange(n), at)
        self.fitted, self.paths, self.device = inner.fitted, inner.paths, inner.device
        self.dtype = np.result_type(inner.dtype, np.float16)

    def work(self, step: int) -> int:
        """Of the last step the samples that lack it."""
        return len(self._gone) if step == self._inner.steps else self._inner.work(step)

    def run(self, step: int) -> Iterator[Block]:
        """Take one step."""
        if step == self._inner.steps:
            yield self._gone, slice(0, self.width), np.full((len(self._gone), self.width), np.nan, self.dtype)
            return
        for rows, columns, values in self._inner.run(step):
            yield self._at[rows], columns, values
        self.skipped |= {int(self._at[row]): reason for row, reason in self._inner.skipped.items()}


def with_gaps(name: str, make: Callable[[Rows], Modality], rows: Rows, lacking: frozenset[int] | None) -> Modality:
    """A modality of the given samples, some of which may lack it.

    Args:
        name: its own.
        make: makes that of samples that all have it, at these positions.
        rows: the samples' positions.
        lacking: those of samples that lack it; None for none.

    Raises:
        UserError: all of them do.
    """
    here = ~np.isin(rows, [*(lacking or ())])
    if here.all():
        return make(rows)
    if not here.any():
        raise UserError(f"no sample has {name}: give some that do")
    return Gapped(make(rows[here]), np.flatnonzero(here), len(rows))
