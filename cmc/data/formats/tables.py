"""Tables as text: one file, its headings, and its columns of numbers and of text."""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from cmc.data.formats.arrays import is_id_name, is_label_name
from cmc.errors import UserError
from cmc.utils.memory import check_size
from cmc.utils.safe_read import reading

_BLANKS = " "  # any number of them between two cells
_DECIMAL_COMMA = re.compile(r"[+-]?\d+,\d+")
_TEXT_BYTES = 120  # that a cell of text takes at most, as Python holds it, beyond its letters


class Table(NamedTuple):
    """One file.

    Attributes:
        file: where it lies.
        headings: one a column; None where there are none.
        numbers: N x d float64, the columns of numbers.
        places: d, their positions among all columns.
        texts: position -> N cells of a column that is not all numbers, or whose heading is one of ids or labels.
        counted: whether the first line, of numbers that count up, may be a heading or a row.
        doubtful: whether the only column's first text may be a heading or a class.
    """

    file: Path
    headings: list[str] | None
    numbers: NDArray[np.float64]
    places: list[int]
    texts: dict[int, list[str]]
    counted: bool = False
    doubtful: bool = False

    @property
    def n_rows(self) -> int:
        """N."""
        return len(next(iter(self.texts.values()))) if self.texts else len(self.numbers)

    def heading(self, place: int) -> str:
        """Of the column at this position; nothing where it has none."""
        return self.headings[place] if self.headings else ""

    def without_first(self) -> Table:
        """The first row was a heading."""
        first = {place: cells[0] for place, cells in self.texts.items()}
        first |= {place: f"{self.numbers[0, i]:g}" for i, place in enumerate(self.places)}
        texts = {place: cells[1:] for place, cells in self.texts.items()}
        headings = [first[place] for place in sorted(first)]
        return self._replace(headings=headings, numbers=self.numbers[1:], texts=texts, counted=False, doubtful=False)


class _Layout(NamedTuple):
    """How a file is cut into cells: its separator, its headings, and how many rows to pass over; its first line."""

    separator: str
    headings: list[str] | None
    skipped: int  # rows before the data, blank ones not counted
    width: int
    counted: bool
    line: int


def read_table(file: Path) -> Table:
    """Read one table: a row a line, cells separated by commas, semicolons, tabs or blanks, in UTF-8.

    A first row without any number is a heading; so is one whose numbers count up, and one of numbers behind a first
    cell that is empty or names ids.

    Raises:
        UserError: No row of data; a cell that is no finite number; rows of different lengths; another encoding.
    """
    with reading(file, "a csv table"):
        try:
            return _read(file)
        except UnicodeDecodeError:
            raise UserError(f"{file}: is not text in UTF-8; save it again as 'CSV UTF-8'") from None


def _read(file: Path) -> Table:
    layout = _layout(file)
    n_lines = _count_lines(file)
    check_size(str(file), 8.0 * layout.width * n_lines)
    first = next(_data(file, layout), None)
    if first is None:
        raise UserError(f"{file}: one row, and no number in it; give one row of numbers a sample")
    line, cells = first
    if len(cells) != layout.width:
        raise UserError(f"{file}{_lengths(line, len(cells), layout)}")
    as_text = [place for place, cell in enumerate(cells) if not is_number(cell) or _is_named(file, layout, place)]
    if layout.width == 1 and not is_label_name(file.stem) and is_number(cells[0]):
        as_text = []
    texts = _texts(file, layout, as_text, n_lines)
    places = [place for place in range(layout.width) if place not in texts]
    numbers = _numbers(file, layout, places)
    n = len(next(iter(texts.values()))) if texts else None
    if numbers is None or n not in (None, len(numbers)) or not np.isfinite(numbers).all():
        raise UserError(f"{file}{_fault(file, layout, set(places))}")
    doubtful = layout.width == 1 and layout.headings is None and 0 in texts and not layout.counted
    return Table(file, layout.headings, numbers, places, texts, layout.counted, doubtful)


def _is_named(file: Path, layout: _Layout, place: int) -> bool:
    """Whether a column is to be read as text for its heading: that of ids or of labels, which may have gaps."""
    if is_label_name(file.stem) and layout.width < 3:
        return True
    heading = None if layout.headings is None else layout.headings[place]
    return heading is not None and (is_id_name(heading) or is_label_name(heading))


def _layout(file: Path) -> _Layout:
    """Look at the first two rows."""
    separator = _separator(file)
    rows = _rows(file, separator)
    line, first = next(rows, (0, []))
    if not first:
        raise UserError(f"{file}: the file is empty; give one row a sample")
    _, second = next(rows, (0, []))
    numbers = [is_number(cell) for cell in first]
    known = file.stem.lower(), *(["label", "class"] if len(first) == 1 else [])
    if not any(numbers):
        if len(first) == 1 and not _is_heading(first[0], second, known):
            return _Layout(separator, None, 0, 1, False, line)
        if len(first) == 2 and not any(map(is_number, second)) and not _is_heading_of_two(file, separator, first):
            return _Layout(separator, None, 0, len(first), False, line)
        named = len(second) == len(first) + 1 and separator in (_BLANKS, ",")  # as R writes tables with names of rows
        headings = ["", *first] if named else first
        return _Layout(separator, headings, 1, len(headings), False, line)
    if not numbers[0] and all(numbers[1:]) and len(first) > 2 and is_id_name(first[0]):
        names = [float(cell) for cell in first[1:]]
        if all(name.is_integer() for name in names) and len(set(names)) == len(names):
            return _Layout(separator, first, 1, len(first), False, line)
    return _Layout(separator, None, 0, len(first), _counts(first), line)


def _is_heading(cell: str, second: list[str], known: tuple[str, ...]) -> bool:
    """Whether the first cell of a single column is surely its heading."""
    return bool(second and all_numbers(second[0])) or is_label_name(cell) or cell.lower() in known


def _is_heading_of_two(file: Path, separator: str, first: list[str]) -> bool:
    """Whether the first row of two columns of text, ids and classes, is their heading: its class comes once."""
    if any(is_id_name(cell) or is_label_name(cell) for cell in first):
        return True
    return sum(cells[-1] == first[1] for _, cells in _rows(file, separator)) == 1


def _counts(cells: list[str]) -> bool:
    """Whether a first row's whole numbers count up from 0 or 1: all of them, or all but the last of more than three."""
    if not all(cell.isdecimal() for cell in cells):
        return False
    found = [int(cell) for cell in cells]
    counted = [list(range(start, start + len(found))) for start in (0, 1)]
    return any(found == each or (len(found) > 3 and found[:-1] == each[:-1]) for each in counted)


def _separator(file: Path) -> str:
    with file.open(encoding="utf-8-sig") as lines:
        first, second = [*islice((line for line in lines if line.strip()), 2), "", ""][:2]
    if mark := next((mark for mark in "\t;," if mark in first), ""):
        return mark
    cells = (second or first).split()
    numbers = [*map(is_number, cells)]
    blanks = len(cells) > 1 and len(first.split()) in (len(cells), len(cells) - 1)
    return _BLANKS if blanks and all(numbers[1:]) and (numbers[0] or len(cells) > 2) else ","


def _rows(file: Path, separator: str) -> Iterator[tuple[int, list[str]]]:
    """Yield the number of the line, counted from 1, and the cells of every row that is not blank."""
    with file.open(encoding="utf-8-sig", newline="") as lines:
        text: Iterator[str] = (line.strip(" \r\n") for line in lines) if separator == _BLANKS else lines
        rows = csv.reader(text, delimiter=separator, skipinitialspace=separator == _BLANKS)
        for cells in rows:
            if len(cells) > 1 or "".join(cells).strip() or cells == [""]:
                yield rows.line_num, [cell.strip() for cell in cells]


def _data(file: Path, layout: _Layout) -> Iterator[tuple[int, list[str]]]:
    rows = _rows(file, layout.separator)
    for _ in range(layout.skipped):
        next(rows, None)
    return rows


def _count_lines(file: Path) -> int:
    with file.open(encoding="utf-8-sig") as lines:
        return sum(1 for _ in lines)


def _texts(file: Path, layout: _Layout, places: list[int], n_lines: int) -> dict[int, list[str]]:
    """The cells of these columns, of which each holds no number, or has a heading of ids or labels.

    Raises:
        UserError: a column without such a heading that holds both.
    """
    if not places:
        return {}
    check_size(str(file), _TEXT_BYTES * len(places) * n_lines + file.stat().st_size)
    found: dict[int, list[str]] = {place: [] for place in places}
    for line, cells in _data(file, layout):
        if len(cells) != layout.width:
            raise UserError(f"{file}{_lengths(line, len(cells), layout)}")
        for place in places:
            found[place].append(cells[place])
    for place, cells in found.items():
        if _is_named(file, layout, place):
            continue
        mixed = any(map(all_numbers, cells)) if layout.width == 1 else any(map(is_number, cells))
        if mixed or any(map(_DECIMAL_COMMA.fullmatch, cells)) or (place and not all(cells)):
            raise UserError(f"{file}{_fault(file, layout, {place})}")
    return found


def _numbers(file: Path, layout: _Layout, places: list[int]) -> NDArray[np.float64] | None:
    """Read these columns at once, or return None where a cell is not what it must be."""
    if not places:
        return np.empty((sum(1 for _ in _data(file, layout)), 0))
    some = None if len(places) == layout.width else places
    delimiter = None if layout.separator == _BLANKS else layout.separator
    try:
        with file.open(encoding="utf-8-sig") as lines:
            rows = (line for line in lines if not line.isspace())
            return np.loadtxt(
                rows, delimiter=delimiter, skiprows=layout.skipped, ndmin=2, comments=None, quotechar='"', usecols=some
            ).reshape(-1, len(places))
    except UnicodeDecodeError:
        raise
    except ValueError:
        return None


def _lengths(line: int, n_cells: int, layout: _Layout) -> str:
    return f", line {line}: {n_cells} cells, but {layout.width} in line {layout.line}; give every row the same columns"


def _fault(file: Path, layout: _Layout, places: set[int]) -> str:
    """Find what is wrong with a table, cell by cell."""
    for line, cells in _data(file, layout):
        if len(cells) != layout.width:
            return _lengths(line, len(cells), layout)
        for column, cell in enumerate(cells, start=1):
            if column - 1 in places and not is_number(cell):
                return (
                    f", line {line}, column {column}: {cell[:40]!r} is no finite number; give numbers such as 1.5 "
                    "(text may stand in the heading, and in columns of ids or class names, which hold no number)"
                )
    return ": cannot be read as numbers; save it again as plain csv"


def all_numbers(cell: str) -> bool:
    """Tell a number, or several that blanks separate."""
    return all(map(is_number, cell.split() or [""]))


def is_number(cell: str) -> bool:
    """Tell a finite number as people write it."""
    try:
        return math.isfinite(float(cell)) and "_" not in cell
    except ValueError:
        return False


def is_missing(cell: Any) -> bool:
    """Tell a cell that stands for no label."""
    return str(cell).strip().lower() in ("", "nan", "na", "n/a", "none", "null", "<na>")
