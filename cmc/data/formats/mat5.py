"""Walks through a MATLAB v5 to v7 file before SciPy reads it.

SciPy's reader takes types of numbers, sizes and nesting on trust, and a damaged file can end the whole process.

Source:
    MathWorks, MAT-File Format, the chapters on Level 5.
"""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple, Protocol

from cmc.utils.memory import limit

_CHUNK = 2**16  # bytes
_COMPRESSED, _MATRIX = 15, 14
_WHOLE = (5, 6)  # types of dimensions: int32, uint32
_NUMBERS = (1, 2, 3, 4, 5, 6, 7, 9, 12, 13)  # types of elements: integers, single, double
_TEXTS = (1, 2, 3, 4, 16, 17, 18)
_CELL, _CHAR, _SPARSE, _NUMERIC = 1, 4, 5, range(6, 16)  # classes of arrays
_COMPLEX = 0x800
_MOST_DIMS, _MOST_NESTED = 32, 8


class _Other(Exception):
    """An array of a class that holds no modality, nor labels: a struct, an object, a function."""


class _Stream(Protocol):
    def read(self, n: int, /) -> bytes: ...


class _Unpacked:
    """What a compressed element holds, a piece at a time."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file, self._left, self._unpacker, self._held = file, size, zlib.decompressobj(), b""

    def read(self, n: int, /) -> bytes:
        """Up to n bytes."""
        while len(self._held) < n and not self._unpacker.eof:
            packed = self._unpacker.unconsumed_tail
            if not packed:
                packed = self._file.read(min(_CHUNK, self._left))
                self._left -= len(packed)
            if not packed:
                break
            self._held += self._unpacker.decompress(packed, _CHUNK)
        found, self._held = self._held[:n], self._held[n:]
        return found


class _Element(NamedTuple):
    kind: int
    size: int
    value: bytes | None  # of one that lies within its tag


class Walk:
    """The variables of a file.

    Attributes:
        used: names of the arrays of numbers, of text, and of cells of these.
        others: names of all others, which SciPy need not read.

    Raises:
        ValueError: the file is damaged.
        MemoryError: it declares, or unpacks to, more than `cmc.utils.memory.limit`.
    """

    def __init__(self, path: Path) -> None:
        self.used: list[str] = []
        self.others: list[str] = []
        self._left = limit()
        with path.open("rb") as file:
            self._order = "<" if file.read(128)[126:] == b"IM" else ">"
            for stream, size in self._variables(file, path.stat().st_size):
                if size:
                    self._variable(stream)

    def _variables(self, file: BinaryIO, end: int) -> Iterator[tuple[_Stream, int]]:
        """A stream and a size for each matrix of the outermost level."""
        while file.tell() < end:
            kind, size = struct.unpack(f"{self._order}II", _exactly(file, 8))
            after = file.tell() + size
            if after > end:
                raise ValueError(f"an element of {size} bytes, of which {end - file.tell()} are there")
            stream: _Stream = file
            if kind == _COMPRESSED:
                stream = _Unpacked(file, size)
                kind, size = struct.unpack(f"{self._order}II", _exactly(stream, 8))
            if kind != _MATRIX:
                raise ValueError(f"an element of type {kind} in the place of a matrix")
            yield stream, size
            file.seek(after)

    def _variable(self, stream: _Stream) -> None:
        told: list[str] = []
        try:
            self._matrix(stream, told, 0)
            self.used.append(told[0])
        except _Other:
            self.others.append(told[0])

    def _matrix(self, stream: _Stream, told: list[str], depth: int) -> None:
        flags = struct.unpack(f"{self._order}8xI4x", _exactly(stream, 16))[0]
        dims = self._value(stream, _WHOLE, 4 * _MOST_DIMS)
        shape = struct.unpack(f"{self._order}{len(dims) // 4}i", dims[: len(dims) // 4 * 4])
        if len(shape) < 2 or min(shape) < 0:
            raise ValueError(f"a matrix of {shape}")
        told.append(self._value(stream, _TEXTS, _CHUNK).decode("latin-1"))
        kind, n_parts = flags & 0xFF, 2 if flags & _COMPLEX else 1
        if kind == _CELL and depth < _MOST_NESTED:
            self._take(8 * math.prod(shape))
            self._cells(stream, math.prod(shape), told, depth)
        elif kind == _CHAR:
            self._take(4 * math.prod(shape))
            self._pass(stream, _TEXTS)
        elif kind == _SPARSE or kind in _NUMERIC:
            for _ in range(n_parts + 2 * (kind == _SPARSE)):
                self._pass(stream, _NUMBERS)
        else:
            raise _Other

    def _cells(self, stream: _Stream, n: int, told: list[str], depth: int) -> None:
        for _ in range(n):
            kind, size = struct.unpack(f"{self._order}II", _exactly(stream, 8))
            if kind != _MATRIX:
                raise ValueError(f"an element of type {kind} in the place of a cell")
            if size:
                self._matrix(stream, told, depth + 1)

    def _take(self, n_bytes: int) -> None:
        self._left -= n_bytes
        if self._left < 0:
            raise MemoryError

    def _tag(self, stream: _Stream, kinds: tuple[int, ...]) -> _Element:
        first, second = struct.unpack(f"{self._order}I4s", _exactly(stream, 8))
        found = _Element(first, struct.unpack(f"{self._order}I", second)[0], None)
        if size := first >> 16:
            found = _Element(first & 0xFFFF, size, second[:size])
        if found.kind not in kinds or (found.value is not None and found.size > 4):
            raise ValueError(f"an element of type {found.kind} and {found.size} bytes, which cannot stand here")
        return found

    def _value(self, stream: _Stream, kinds: tuple[int, ...], most: int) -> bytes:
        """A short element."""
        element = self._tag(stream, kinds)
        if element.value is not None:
            return element.value
        if element.size > most:
            raise ValueError(f"an element of {element.size} bytes where at most {most} can stand")
        return _exactly(stream, -(-element.size // 8) * 8)[: element.size]

    def _pass(self, stream: _Stream, kinds: tuple[int, ...]) -> None:
        """Pass over a long one, whose bytes must be there."""
        element = self._tag(stream, kinds)
        if element.value is not None:
            return
        self._take(element.size)
        left = -(-element.size // 8) * 8
        while left:
            left -= len(_exactly(stream, min(_CHUNK, left)))


def _exactly(stream: _Stream, n: int) -> bytes:
    found = stream.read(n)
    if len(found) < n:
        raise ValueError("cut short")
    return found
