"""Tables as text: a folder of ``.csv`` files, one a modality."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cmc.data.formats.arrays import LABELS, NamedArrays
from cmc.data.formats.sniff import files_in
from cmc.errors import UserError
from cmc.utils.memory import check_size
from cmc.utils.safe_read import reading, text_array

_HEADINGS = {*map(str.lower, LABELS), "class", "target"}  # of a column of class names, which look like a heading


def read_csv_folder(path: Path) -> NamedArrays:
    """Read all ``.csv`` files of a folder, each named by its file; see `read_table`.

    Raises:
        UserError: A table is damaged, or a cell of it is not what it must be.
    """
    return {file.stem: read_table(file) for file in files_in(path, ".csv")}


def read_table(file: Path) -> NDArray[Any]:
    """Read one table of numbers: a row a sample, separated by commas, semicolons or tabs, in UTF-8.

    A first row without any number is a header, and passed over. A single column may hold class names instead.

    Returns:
        N x d float64; for class names N, as text.

    Raises:
        UserError: No row of data; a cell that is no finite number; rows of different lengths; another encoding.
    """
    with reading(file, "a csv table"):
        try:
            return _read(file)
        except UnicodeDecodeError:
            raise UserError(f"{file}: is not text in UTF-8; save it again as 'CSV UTF-8'") from None


def _read(file: Path) -> NDArray[Any]:
    separator = _separator(file)
    rows = _rows(file, separator)
    line, first = next(rows, (0, []))
    if not first:
        raise UserError(f"{file}: the file is empty; give one row a sample")
    check_size(str(file), 8.0 * len(first) * _count_lines(file))
    header = not any(map(_is_number, first))
    if header and len(first) == 1 and (names := _class_names(file, separator)) is not None:
        return names
    if header and next(rows, None) is None:
        raise UserError(f"{file}: one row, and no number in it; give one row of numbers a sample")
    table = _numbers(file, separator, header)
    if table is None or table.shape[1] != len(first) or not np.isfinite(table).all():
        raise UserError(f"{file}{_fault(file, separator, header)}")
    if table.shape[1] > 2 and not header and np.array_equal(table[0], np.arange(table.shape[1])):
        raise UserError(f"{file}, line {line}: 0, 1, 2, ... number the columns, it seems; take that line out")
    return table


def _separator(file: Path) -> str:
    with file.open(encoding="utf-8-sig") as lines:
        first = next((line for line in lines if line.strip()), "")
    return next((mark for mark in "\t;" if mark in first), ",")


def _rows(file: Path, separator: str) -> Iterator[tuple[int, list[str]]]:
    """Yield the number of the line, counted from 1, and the cells of every row that is not blank."""
    with file.open(encoding="utf-8-sig", newline="") as lines:
        rows = csv.reader(lines, delimiter=separator)
        for cells in rows:
            if len(cells) > 1 or "".join(cells).strip():
                yield rows.line_num, [cell.strip() for cell in cells]


def _count_lines(file: Path) -> int:
    with file.open(encoding="utf-8-sig") as lines:
        return sum(1 for _ in lines)


def _class_names(file: Path, separator: str) -> NDArray[Any] | None:
    """Return the only column's cells, without their heading, if none of them is a number."""
    cells = [cells[0] for _, cells in _rows(file, separator) if len(cells) == 1 and not _all_numbers(cells[0])]
    if len(cells) < sum(1 for _ in _rows(file, separator)):
        return None
    heading = cells[0].lower() in {*_HEADINGS, file.stem.lower()}
    return text_array(file, cells[heading:])


def _numbers(file: Path, separator: str, header: bool) -> NDArray[np.float64] | None:
    """Read all rows at once, or return None where one is not what it must be."""
    try:
        with file.open(encoding="utf-8-sig") as lines:
            rows = (line for line in lines if not line.isspace())
            return np.loadtxt(rows, delimiter=separator, skiprows=int(header), ndmin=2, comments=None, quotechar='"')
    except UnicodeDecodeError:
        raise
    except ValueError:
        return None


def _fault(file: Path, separator: str, header: bool) -> str:
    """Find what is wrong with a table, cell by cell."""
    rows = _rows(file, separator)
    line, cells = next(rows)
    width, first = len(cells), line
    for line, cells in rows if header else _rows(file, separator):
        if len(cells) != width:
            return f", line {line}: {len(cells)} cells, but {width} in line {first}; give every row the same columns"
        for column, cell in enumerate(cells, start=1):
            if not _is_number(cell):
                return (
                    f", line {line}, column {column}: {cell[:40]!r} is no finite number; give numbers such as 1.5 "
                    "(a header holds none; a single column may hold class names, and then no number)"
                )
    return ": cannot be read as numbers; save it again as plain csv"


def _all_numbers(cell: str) -> bool:
    """Tell a number, or several that blanks separate."""
    return all(map(_is_number, cell.split() or [""]))


def _is_number(cell: str) -> bool:
    try:
        return math.isfinite(float(cell)) and "_" not in cell
    except ValueError:
        return False
