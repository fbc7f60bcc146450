"""Parquet, Arrow and Feather: tables by columns, read batch by batch by a child process.

A column of lists of numbers is a matrix, and so are columns that are numbered alike: ``img_0, img_1, ...``. A row whose
list is null or empty is NaN. What a column is for is told by `cmc.data.formats.arrow_tables`.

Source:
    https://arrow.apache.org/docs/format/Columnar.html, https://parquet.apache.org/docs/file-format/
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cmc.data.formats.arrays import NamedArrays, is_id_name, is_label_name
from cmc.data.formats.sniff import ARROW, files_in
from cmc.utils.memory import check_size
from cmc.utils.safe_read import text_array

COLUMN, HEADING, NESTED = "column/", "heading/", "nested"  # what the names of the child's arrays begin with
WHOLE = ""  # the matrix of all columns of numbers
NUMBERED = re.compile(r"(\w*?[A-Za-z])_?\d+")
_BATCH = 2**25  # bytes of a table that are decoded at once, about
_ROWS = 2**16  # at most
_LONGEST_TEXT = 200  # characters, of what may be ids or names of classes
_STREAM = b"\xff\xff\xff\xff"


def is_arrow(path: Path, head: bytes) -> bool:
    """Tell Parquet, an Arrow file, of which Feather is one, or an Arrow stream, by the name where it has no mark."""
    marked = head.startswith((b"PAR1", b"ARROW1"))
    return marked or (head.startswith(_STREAM) and path.suffix.lower() in ARROW)


def read_single(path: Path) -> NamedArrays:
    """The child's part, of a table of all modalities: a file, or a folder of its shards."""
    return _read(path, _by_stems)


def read_one(path: Path) -> NamedArrays:
    """The child's part, of a table of one modality: all columns of numbers are one matrix."""
    return _read(path, _together)


def _read(path: Path, plan: Callable[[list[str]], dict[str, list[str]]]) -> NamedArrays:
    tables = [_Table(file) for file in files_in(path, *ARROW) or [path]]
    schema = tables[0].schema
    if len({*schema.names}) < len(schema.names):
        raise ValueError("two columns have one name")
    if any(table.schema.names != schema.names for table in tables):
        raise ValueError("its files have other columns each")
    kinds = {field.name: _kind(field.type) for field in schema}
    groups = plan([name for name, kind in kinds.items() if kind == "number" and not _named(name)])
    grouped = {name for names in groups.values() for name in names}
    lists = [name for name, kind in kinds.items() if kind == "list"]
    alone = [name for name, kind in kinds.items() if kind == "number" and name not in grouped]
    n_rows = sum(table.n_rows for table in tables)
    matrices = {name: _Numbers(f"{path}, column {name!r}", n_rows) for name in [*lists, *groups, *alone]}
    texts = {name: _Texts() for name, kind in kinds.items() if kind == "text"}
    row = 0
    for table in tables:
        for batch in table.batches([name for name, kind in kinds.items() if kind]):
            for name in lists:
                matrices[name].put(row, *_rows_of(name, row, batch.column(name)))
            for name, names in [*groups.items(), *((name, [name]) for name in alone)]:
                matrices[name].put(row, batch.num_rows, np.stack([_numbers(batch.column(each)) for each in names], 1))
            for name, found in texts.items():
                found.put(batch.column(name))
            row += batch.num_rows
    if row != n_rows:
        raise ValueError(f"{row} rows, where {n_rows} are said to be")
    arrays = {COLUMN + name: matrix.whole() for name, matrix in matrices.items()}
    arrays |= {COLUMN + name: arrays[COLUMN + name][:, 0] for name in alone}
    arrays |= {COLUMN + name: found.whole(path) for name, found in texts.items()}
    arrays |= {HEADING + name: np.array(names, dtype=str) for name, names in groups.items()}
    nested = [[field.name, str(field.type)[:100]] for field in schema if not kinds[field.name]]
    return {**arrays, NESTED: np.array(nested, dtype=str).reshape(-1, 2)}


def _by_stems(names: list[str]) -> dict[str, list[str]]:
    """Columns that are numbered alike, in the order in which they lie."""
    stems: dict[str, list[str]] = {}
    for name in names:
        if (found := NUMBERED.fullmatch(name)) is not None:
            stems.setdefault(found[1], []).append(name)
    return {stem: each for stem, each in stems.items() if len(each) > 1 and stem not in names}


def _together(names: list[str]) -> dict[str, list[str]]:
    return {WHOLE: names} if names else {}


def _named(name: str) -> bool:
    """Whether a column of numbers is labels or ids, by its name."""
    return is_label_name(name) or is_id_name(name) or name.startswith("__index_level_")


def _kind(kind: Any) -> str:
    """``number``, ``list`` of numbers, ``text``; nothing for anything else."""
    from pyarrow import types

    kind = _bare(kind)
    if types.is_integer(kind) or types.is_floating(kind) or types.is_boolean(kind) or types.is_decimal(kind):
        return "number"
    if types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind):
        return "list" if _kind(kind.value_type) == "number" else ""
    return "text" if types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind) else ""


def _bare(kind: Any) -> Any:
    """The type of the values themselves, of a dictionary's and of an extension's."""
    from pyarrow import types

    if types.is_dictionary(kind):
        return kind.value_type
    return kind.storage_type if hasattr(kind, "storage_type") else kind


def _plain(column: Any) -> Any:
    from pyarrow import types

    if types.is_dictionary(column.type):
        return column.dictionary_decode()
    return column.storage if hasattr(column.type, "storage_type") else column


def _numbers(column: Any) -> NDArray[Any]:
    """The values of a column; NaN for none."""
    import pyarrow

    column = _plain(column)
    if pyarrow.types.is_decimal(column.type):
        column = column.cast(pyarrow.float64())
    if pyarrow.types.is_boolean(column.type):
        column = column.cast(pyarrow.uint8())
    return np.asarray(column.to_numpy(zero_copy_only=False))


def _rows_of(name: str, row: int, column: Any) -> tuple[int, NDArray[Any] | None]:
    """How many rows a column of lists has here, and these; None where all are null or empty."""
    from pyarrow import compute

    column = _plain(column)
    lengths = compute.fill_null(compute.list_value_length(column), 0).to_numpy(zero_copy_only=False)
    width = int(lengths.max(initial=0))
    if not width:
        return len(column), None
    wrong = np.flatnonzero((lengths != width) & (lengths != 0))
    if len(wrong):
        at = int(wrong[0])
        raise ValueError(f"row {row + at} of column {name!r} has {lengths[at]} numbers, another one {width}")
    values = _numbers(column.flatten()).reshape(-1, width)
    there = lengths > 0
    if there.all():
        return len(column), values
    block = np.full((len(column), width), np.nan, np.result_type(values, np.float16))
    block[there] = values
    return len(column), block


class _Table:
    """A file, whose batches come one after the other."""

    def __init__(self, path: Path) -> None:
        import pyarrow
        from pyarrow import ipc, parquet

        with path.open("rb") as file:
            head = file.read(8)
        self.path, self._stream, self._parquet = path, head.startswith(_STREAM), head.startswith(b"PAR1")
        if self._parquet:
            self._file = parquet.ParquetFile(path, buffer_size=2**20, pre_buffer=False)
            self.schema, self.n_rows = self._file.schema_arrow, self._file.metadata.num_rows
        else:
            self._file = (ipc.open_stream if self._stream else ipc.open_file)(pyarrow.memory_map(str(path)))
            self.schema = self._file.schema
            self.n_rows = sum(batch.num_rows for batch in self._all())

    def batches(self, columns: list[str]) -> Iterator[Any]:
        """Record batches of these columns."""
        if not self._parquet:
            yield from (batch.select(columns) for batch in self._all())
            return
        groups = [self._file.metadata.row_group(i) for i in range(self._file.metadata.num_row_groups)]
        row_bytes = max((group.total_byte_size // max(1, group.num_rows) for group in groups), default=1)
        size = max(1, min(_ROWS, _BATCH // max(1, row_bytes)))
        yield from self._file.iter_batches(size, columns=columns, use_threads=False)

    def _all(self) -> Iterator[Any]:
        import pyarrow
        from pyarrow import ipc

        if self._stream:
            yield from ipc.open_stream(pyarrow.memory_map(str(self.path)))
        else:
            yield from (self._file.get_batch(i) for i in range(self._file.num_record_batches))


class _Numbers:
    """A matrix that is filled from the first row to the last; its width and its type come with the first rows."""

    def __init__(self, where: str, n_rows: int) -> None:
        self._where, self._n_rows = where, n_rows
        self._array: NDArray[Any] | None = None
        self._gaps: list[slice] = []

    def put(self, row: int, n: int, block: NDArray[Any] | None) -> None:
        """Fill n rows from this one on; None for rows that are not there."""
        if block is None:
            self._gaps.append(slice(row, row + n))
            return
        if self._array is None:
            self._make(block.shape[1], block.dtype)
        assert self._array is not None
        if block.shape[1] != self._array.shape[1]:
            width = self._array.shape[1]
            raise ValueError(f"row {row} of {self._where} has {block.shape[1]} numbers, another one {width}")
        if (dtype := np.result_type(block, self._array)) != self._array.dtype:
            check_size(self._where, float(self._array.size * dtype.itemsize))
            self._array = self._array.astype(dtype)
        self._array[row : row + n] = block

    def _make(self, width: int, dtype: np.dtype[Any]) -> None:
        check_size(self._where, float(self._n_rows * width * dtype.itemsize))
        self._array = np.empty((self._n_rows, width), dtype)

    def whole(self) -> NDArray[Any]:
        """The matrix, once all rows are filled."""
        if self._array is None:
            return np.full((self._n_rows, 1), np.nan)
        if self._gaps and self._array.dtype.kind != "f":
            self._array = self._array.astype(np.result_type(self._array, np.float16))
        for rows in self._gaps:
            self._array[rows] = np.nan
        return self._array


class _Texts:
    """A column of text, kept as long as its texts are short: long ones are no ids and no classes."""

    def __init__(self) -> None:
        self._pieces: list[Any] | None = []

    def put(self, column: Any) -> None:
        """Add the next rows."""
        from pyarrow import compute

        column = compute.fill_null(_plain(column), "")
        if self._pieces is not None and (compute.max(compute.utf8_length(column)).as_py() or 0) <= _LONGEST_TEXT:
            self._pieces.append(column)
        else:
            self._pieces = None

    def whole(self, path: Path) -> NDArray[Any]:
        """The texts; an object where they are too long."""
        if self._pieces is None:
            return np.empty((1, 1), dtype=object)
        return text_array(path, [text for piece in self._pieces for text in piece.to_pylist()])
