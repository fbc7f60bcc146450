"""``assignments.csv`` and ``assignments_holdout.csv`` of a run folder: a row a sample. Light: imports no torch."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cmc.runs.folder import damaged
from cmc.runs.tables import CALIBRATED, OWN
from cmc.utils.memory import check_size
from cmc.utils.safe_read import check_text, read_errors, text_array

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_BLOCK = 2**16  # rows
TEXTS = ("label", "id", "caption")  # columns that may be there


@dataclass(frozen=True, eq=False)
class Assignments:
    """The columns.

    Attributes:
        index: (N,) int64 row numbers of the samples in the data.
        cluster: (N,) int64, from 0.
        confidence: (N,) float64, the largest assignment probability.
        label: (N,) str, empty where unknown, or None where all are.
        id: (N,) str, or None where samples have none.
        caption: (N,) str as objects, of which one may be long; or None where samples have none.
        margin: (N,) float64, by how much the largest assignment probability exceeds the second; None where unknown.
        calibrated: (N,) float64, how probably another modality says the same cluster; None where unknown.
        own: modality -> (N,) int64, the cluster that it alone would give, -1 where a sample lacks it; none where
            a method has no such assignments.
    """

    index: NDArray[np.int64]
    cluster: NDArray[np.int64]
    confidence: NDArray[np.float64]
    label: NDArray[np.str_] | None
    id: NDArray[np.str_] | None = None
    caption: NDArray[np.object_] | None = None
    margin: NDArray[np.float64] | None = None
    calibrated: NDArray[np.float64] | None = None
    own: dict[str, NDArray[np.int64]] = field(default_factory=dict)


def read_assignments(run: Path, part: str = "", what: str | None = None) -> Assignments | None:
    """All rows; None where there is no such file.

    Args:
        run: the folder.
        part: one of `cmc.runs.folder.PARTS`.
        what: opens the message about a damaged file.

    Raises:
        UserError: a file that lacks columns or rows, or whose rows are none.
    """
    import numpy as np

    path = run / f"assignments{part}.csv"
    if not path.exists():
        return None
    blocks = list(assignment_blocks(run, part, what))
    label, ids, caption = (_joined(path, [getattr(block, name) for block in blocks]) for name in TEXTS)
    return Assignments(
        np.concatenate([block.index for block in blocks]),
        np.concatenate([block.cluster for block in blocks]),
        np.concatenate([block.confidence for block in blocks]),
        label,
        ids,
        caption,
        margin=_whole([block.margin for block in blocks]),
        calibrated=_whole([block.calibrated for block in blocks]),
        own={name: np.concatenate([block.own[name] for block in blocks]) for name in blocks[0].own},
    )


def _whole(blocks: list[NDArray[Any] | None]) -> NDArray[Any] | None:
    """One column of numbers."""
    import numpy as np

    there = [block for block in blocks if block is not None]
    return np.concatenate(there) if there else None


def _joined(path: Path, blocks: list[NDArray[Any] | None]) -> NDArray[Any] | None:
    """One column of texts, of which each takes as much as the longest."""
    import numpy as np

    there = [block for block in blocks if block is not None]
    if not there:
        return None
    check_size(path.name, float(sum(map(len, there)) * max(block.itemsize for block in there)))
    return np.concatenate(there)


def assignment_blocks(run: Path, part: str = "", what: str | None = None) -> Iterator[Assignments]:
    """The rows, a few ten thousand at a time; arguments and errors as of `read_assignments`."""
    path = run / f"assignments{part}.csv"
    blocks = _blocks(path)
    while True:
        with read_errors(what or damaged(path), path):
            block = next(blocks, None)
        if block is None:
            return
        yield block


def _blocks(path: Path) -> Iterator[Assignments]:
    check_text(path)
    with path.open(newline="", encoding="utf-8") as file:
        reader = csv.reader(file)
        names = next(reader, [])
        rows = list(islice(reader, _BLOCK))
        if not rows:
            raise ValueError("it holds no rows")
        while rows:
            yield _columns(path, dict(zip(names, zip(*rows, strict=True), strict=True)))
            rows = list(islice(reader, _BLOCK))


def _numbers(cells: dict[str, tuple[str, ...]], name: str) -> NDArray[np.float64] | None:
    import numpy as np

    return np.array(cells[name], dtype=np.float64) if name in cells else None


def _columns(path: Path, cells: dict[str, tuple[str, ...]]) -> Assignments:
    import numpy as np

    label, ids = (text_array(path.name, cells[name]) if name in cells else None for name in ("label", "id"))
    caption = np.array(cells["caption"], dtype=object) if "caption" in cells else None  # one may be as long as a book
    found = Assignments(
        np.array(cells["index"], dtype=np.int64),
        np.array(cells["cluster"], dtype=np.int64),
        np.array(cells["confidence"], dtype=np.float64),
        label,
        ids,
        caption,
        margin=_numbers(cells, "margin"),
        calibrated=_numbers(cells, CALIBRATED),
        own={name.removeprefix(OWN): np.array(cells[name], dtype=np.int64) for name in cells if name.startswith(OWN)},
    )
    least = {"an index": (found.index, 0), "a cluster": (found.cluster, 0)}
    least |= {f"a cluster of {name}": (own, -1) for name, own in found.own.items()}
    for name, (column, lowest) in least.items():
        if column.min() < lowest:
            raise ValueError(f"{name} below {lowest}")
    return found
