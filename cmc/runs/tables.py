"""Tables written piece by piece, CSV or Parquet, that are there whole or not at all."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from cmc.errors import UserError
from cmc.utils.atomic import atomic_write

Columns = Mapping[str, Sequence[Any]]  # of one length
Append = Callable[[Columns], None]
SUFFIXES = (".csv", ".parquet")
CALIBRATED = "confidence_calibrated"  # the name of a column
OWN = "cluster_"  # opens the name of a column: what a modality alone would say


def check_writable(key: str, path: Path) -> None:
    """Refuse, before any work is done, a path that a table cannot be written to.

    Args:
        key: the setting that names it, for the message.
        path: the file to be.

    Raises:
        UserError: another suffix, a file that is there already, or Parquet without its package.
    """
    if path.suffix not in SUFFIXES:
        raise UserError(f"{key}: {path} given; its name must end in .csv or .parquet")
    if path.exists():
        raise UserError(f"{key}: {path} is there already; give another {key}=FILE, or move it away")
    if path.suffix == ".parquet" and find_spec("pyarrow") is None:
        raise UserError(f"{key}: Parquet needs pyarrow: pip install 'cmc[parquet]', or give {path.with_suffix('.csv')}")


def assignments(
    index: list[int],
    cluster: list[int],
    confidence: list[float],
    calibrated: list[float] | None = None,
    margin: list[float] | None = None,
    own: Mapping[str, list[int]] | None = None,
    label: Sequence[str] | None = None,
    ids: Sequence[str] | None = None,
    caption: Sequence[str] | None = None,
) -> dict[str, Sequence[Any]]:
    """The columns of a table of assignments, a row a sample; those after ``confidence`` where they are known.

    Args:
        index: row numbers.
        cluster: from 0.
        confidence: the largest assignment probability.
        calibrated: how probably another modality says the same cluster.
        margin: by how much the largest assignment probability exceeds the second largest.
        own: modality -> the cluster that it alone would give, -1 where the sample lacks it.
        label: names of classes.
        ids: of samples.
        caption: of samples.
    """
    columns: dict[str, Sequence[Any]] = {"index": index, "cluster": cluster, "confidence": confidence}
    known: dict[str, Sequence[Any] | None] = {
        CALIBRATED: calibrated,
        "margin": margin,
        **{f"{OWN}{name}": each for name, each in (own or {}).items()},
    }
    known |= {"label": label, "id": ids, "caption": caption}
    return columns | {name: texts for name, texts in known.items() if texts is not None}


@contextmanager
def table(path: Path) -> Iterator[Append]:
    """Give a function that appends rows, given as columns of one length: name -> values.

    Every call gives the same columns. In CSV a real number has 6 decimals; Parquet holds real numbers as float32 and
    whole ones as int64.

    Args:
        path: ends in ``.csv`` or ``.parquet``; takes its place when the block ends well.
    """
    with atomic_write(path) as unfinished, (_parquet if path.suffix == ".parquet" else _csv)(unfinished) as append:
        yield append


@contextmanager
def _csv(path: Path) -> Iterator[Append]:
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        begun = False

        def append(columns: Columns) -> None:
            nonlocal begun
            if not begun:
                writer.writerow(columns)
                begun = True
            writer.writerows(zip(*map(_cells, columns.values()), strict=True))

        yield append


def _cells(values: Sequence[Any]) -> Sequence[Any]:
    return [f"{value:.6f}" for value in values] if len(values) and isinstance(values[0], float) else values


@contextmanager
def _parquet(path: Path) -> Iterator[Append]:
    import pyarrow
    from pyarrow.parquet import ParquetWriter

    types = {int: pyarrow.int64(), float: pyarrow.float32(), str: pyarrow.string()}
    writer = None

    def append(columns: Columns) -> None:
        nonlocal writer
        schema = pyarrow.schema([(name, types[type(values[0])]) for name, values in columns.items()])
        writer = writer or ParquetWriter(path, schema)
        writer.write_table(pyarrow.table(dict(columns), schema=schema))

    try:
        yield append
    finally:
        if writer is not None:
            writer.close()
