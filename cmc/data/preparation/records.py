"""Files of numbers, one sample a record, read block by block: lines of text, and LEAR's binary vectors."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cmc.data.preparation.distribution import Rows, check_no_page
from cmc.errors import UserError

_NUMBER = re.compile(rb"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?")
_BLOCK = 2**23  # bytes read at once

# suffix -> (dtype of the count before each record, dtype of its numbers); all little-endian
_VECTORS = {".hvecs": ("<u2", "<u2"), ".hvecs32": ("<u4", "<u4"), ".fvec": ("<i4", "<f4")}


class TextTable:
    """Lines of numbers with blanks or tabs between them, in one file or several.

    Args:
        paths: the files.
        rows: for each file, the positions of its lines' samples.
        dtype: of the numbers.

    Raises:
        UserError: a file is missing, empty or holds no numbers in its first line.
    """

    def __init__(self, paths: Sequence[Path], rows: Sequence[Rows], dtype: str = "float32") -> None:
        self.paths, self._rows, self.dtype = tuple(paths), tuple(rows), np.dtype(dtype)
        widths = [_first_width(path) for path in paths]
        if len(set(widths)) > 1:
            given = ", ".join(f"{path} {width}" for path, width in zip(paths, widths, strict=True))
            raise UserError(f"files of one feature differ in their columns ({given}); download them again")
        self.width = widths[0]

    def blocks(self, part: int) -> Iterator[tuple[Rows, NDArray[Any]]]:
        """Positions and numbers, B x width, of one file's lines.

        Raises:
            UserError: a line with other than ``width`` numbers, or another count of lines than samples.
        """
        path, rows, read = self.paths[part], self._rows[part], 0
        with path.open("rb") as file:
            while lines := file.readlines(_BLOCK):
                lines = [line for line in lines if line.strip()]
                if read + len(lines) > len(rows):
                    raise UserError(f"{path}: more lines than the {len(rows)} samples of its list; download both again")
                if lines:
                    yield rows[read : read + len(lines)], self._numbers(path, lines, read)
                read += len(lines)
        if read < len(rows):
            raise UserError(
                f"{path}: ends after line {read}, but its list has {len(rows)} samples; cut short? download it again"
            )

    def _numbers(self, path: Path, lines: list[bytes], before: int) -> NDArray[Any]:
        with warnings.catch_warnings():
            warnings.simplefilter("error", DeprecationWarning)  # NumPy's word for text that is no number
            try:
                numbers: NDArray[Any] = np.fromstring(b"".join(lines), dtype=np.float32, sep=" ")
            except (DeprecationWarning, ValueError):
                numbers = np.empty(0)
        if numbers.size == len(lines) * self.width and np.isfinite(numbers).all():
            cast = numbers.astype(self.dtype)
            if (cast == numbers).all():
                return cast.reshape(-1, self.width)
        for number, line in enumerate(lines, start=before + 1):
            _check_line(path, number, line.split(), self.width, self.dtype)
        raise UserError(f"{path}: lines {before + 1} to {before + len(lines)} are not {self.width} numbers each")


def _first_width(path: Path) -> int:
    try:
        with path.open("rb") as file:
            first = next((line for line in iter(lambda: file.readline(2**20), b"") if line.strip()), b"")
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); copy or download it again") from None
    cells = first.split()
    if not cells:
        raise UserError(f"{path}: the file is empty; copy or download it again")
    if first.lstrip().startswith(b"<"):
        raise UserError(f"{path}: a web page in the place of numbers; download the file again")
    _check_line(path, 1, cells, len(cells), np.dtype(np.float32))
    return len(cells)


def _check_line(path: Path, number: int, cells: list[bytes], width: int, dtype: np.dtype[Any]) -> None:
    for column, cell in enumerate(cells, start=1):
        if not _NUMBER.fullmatch(cell) or not _fits(float(cell), dtype):
            shown = cell[:30].decode("latin-1")
            kind = "number" if dtype.kind == "f" else f"whole number from 0 to {np.iinfo(dtype).max}"
            raise UserError(f"{path}, line {number}, column {column}: {shown!r} is no {kind}; download it again")
    if len(cells) != width:
        raise UserError(f"{path}, line {number}: {len(cells)} numbers, the others {width}; download it again")


def _fits(number: float, dtype: np.dtype[Any]) -> bool:
    if dtype.kind == "f":
        return abs(number) <= float(np.finfo(dtype).max)
    return number.is_integer() and 0 <= number <= np.iinfo(dtype).max


class VectorTable:
    """Records of LEAR's packing: a count, then as many numbers; every record has the same count.

    Args:
        paths: ``.hvecs``, ``.hvecs32`` or ``.fvec`` files.
        rows: for each file, the positions of its records' samples.

    Raises:
        UserError: a size that is no whole number of records, another count of records than samples, or widths that
            differ between files.
    """

    def __init__(self, paths: Sequence[Path], rows: Sequence[Rows]) -> None:
        self.paths, self._rows = tuple(paths), tuple(rows)
        self._records = [_map_vectors(path) for path in paths]
        for path, records, positions in zip(paths, self._records, rows, strict=True):
            if len(records) != len(positions):
                raise UserError(
                    f"{path}: {len(records)} records, but its list has {len(positions)} samples; download it again"
                )
        widths = {records["numbers"].shape[1] for records in self._records}
        if len(widths) > 1:
            raise UserError(f"{', '.join(map(str, paths))}: widths {sorted(widths)} differ; download them again")
        self.width = widths.pop()
        self.dtype = np.dtype(self._records[0]["numbers"].dtype.newbyteorder("="))

    def blocks(self, part: int) -> Iterator[tuple[Rows, NDArray[Any]]]:
        """Positions and numbers, B x width, of one file's records.

        Raises:
            UserError: a record whose count is not the first one's.
        """
        records, rows = self._records[part], self._rows[part]
        step = max(1, _BLOCK // records.dtype.itemsize)
        for start in range(0, len(records), step):
            block = records[start : start + step]
            if (wrong := block["count"] != self.width).any():
                at = start + int(np.argmax(wrong))
                raise UserError(
                    f"{self.paths[part]}, record {at} (byte {at * records.dtype.itemsize}): says "
                    f"{block['count'][at - start]} numbers, the others {self.width}; damaged? download it again"
                )
            numbers = np.asarray(block["numbers"], dtype=self.dtype)
            if not (finite := np.isfinite(numbers).all(1)).all():
                at = start + int(np.argmin(finite))
                raise UserError(
                    f"{self.paths[part]}, record {at} (byte {at * records.dtype.itemsize}): holds a number that is not "
                    "finite; damaged? download it again"
                )
            yield rows[start : start + len(block)], numbers


def _map_vectors(path: Path) -> NDArray[Any]:
    count, number = (np.dtype(kind) for kind in _VECTORS[path.suffix])
    try:
        with path.open("rb") as file:
            head = file.read(64)
        size = path.stat().st_size
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); copy or download it again") from None
    check_no_page(path, head.decode("latin-1"))
    width = int(np.frombuffer(head, count, 1)[0]) if len(head) >= count.itemsize else 0
    if width < 1:
        raise UserError(f"{path}: no {path.suffix[1:]} records in it; copy or download it again")
    row = count.itemsize + width * number.itemsize
    if size % row:
        whole = size // row
        raise UserError(
            f"{path}: {size} bytes are no whole number of records of {row}; cut short after record {whole} "
            f"(byte {whole * row}), or no {path.suffix[1:]} file: download it again"
        )
    return np.memmap(path, np.dtype([("count", count), ("numbers", number, (width,))]), mode="r")


def is_vectors(path: Path) -> bool:
    """Whether the suffix is one of LEAR's."""
    return path.suffix in _VECTORS
