"""What a run found of every sample, be it trained on or held out: read, and written again."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cmc.errors import UserError
from cmc.runs.assignments import Assignments, read_assignments
from cmc.runs.embeddings import read_embeddings, write_ids
from cmc.runs.folder import PARTS
from cmc.runs.tables import assignments, table
from cmc.utils.atomic import atomic_write
from cmc.utils.memory import check_size


@dataclass(frozen=True, eq=False)
class Rows:
    """All samples, held-out ones included.

    Attributes:
        parts: those of `cmc.runs.folder.PARTS` that there are, and the assignments of their samples.
        embeddings: N x D, in the order of the data; None where the run wrote none.
    """

    parts: dict[str, Assignments]
    embeddings: NDArray[np.float32] | None

    def __len__(self) -> int:
        """N."""
        return sum(len(part.index) for part in self.parts.values())

    @property
    def ids(self) -> NDArray[np.str_] | None:
        """Of N samples, in the order of the data; None where they have none."""
        found = [part.id for part in self.parts.values() if part.id is not None]
        return np.concatenate(found)[_order(self.parts)] if len(found) == len(self.parts) else None

    @property
    def confidence(self) -> NDArray[np.float64]:
        """Of N samples, in the order of the data."""
        return np.concatenate([part.confidence for part in self.parts.values()])[_order(self.parts)]

    @property
    def calibrated(self) -> NDArray[np.float64] | None:
        """Of N samples, in the order of the data; None where it is not known."""
        found = [part.calibrated for part in self.parts.values() if part.calibrated is not None]
        return np.concatenate(found)[_order(self.parts)] if len(found) == len(self.parts) else None

    @property
    def clusters(self) -> NDArray[np.int64]:
        """Of N samples, in the order of the data."""
        return np.concatenate([part.cluster for part in self.parts.values()])[_order(self.parts)]


def _order(parts: dict[str, Assignments]) -> NDArray[np.intp]:
    """Of the data, among the samples of all parts, one part after the other."""
    return np.concatenate([part.index for part in parts.values()]).argsort()


def read_rows(run: Path) -> Rows:
    """Read ``assignments.csv`` and ``embeddings.npy``, and those of held-out samples.

    Raises:
        UserError: a file cannot be read, or they do not belong together.
    """
    parts = {part: found for part in PARTS if (found := read_assignments(run, part)) is not None}
    blocks = {part: block for part in PARTS if (block := read_embeddings(run, part)) is not None}
    if not parts:
        raise UserError(f"{run}: has no assignments.csv; train again")
    check_size(f"{run}/embeddings.npy", float(sum(block.nbytes for block in blocks.values())))
    order = _order(parts)
    if blocks and sum(map(len, blocks.values())) != len(order):
        part, other = next(iter(blocks)), next(iter(parts))
        raise UserError(
            f"{run}/embeddings{part}.npy: not as many rows as in assignments{other}.csv; damaged? train again"
        )
    return Rows(parts, np.concatenate(list(blocks.values()))[order] if blocks else None)


def write_rows(run: Path, rows: Rows) -> None:
    """Write the files that `read_rows` reads."""
    place = _order(rows.parts).argsort()  # of each sample in the order of the data
    done = 0
    for name, part in rows.parts.items():
        texts = (None if column is None else column.tolist() for column in (part.label, part.id, part.caption))
        with table(run / f"assignments{name}.csv") as append:
            calibrated, margin = (None if x is None else x.tolist() for x in (part.calibrated, part.margin))
            own = {each: column.tolist() for each, column in part.own.items()}
            found = (part.index.tolist(), part.cluster.tolist(), part.confidence.tolist())
            append(assignments(*found, calibrated, margin, own, *texts))
        here = place[done : (done := done + len(part.index))]
        if rows.embeddings is not None and part.id is not None:
            write_ids(run, part.id.tolist(), name)
        if rows.embeddings is not None:
            with atomic_write(run / f"embeddings{name}.npy") as path:
                np.save(path, rows.embeddings[here])
