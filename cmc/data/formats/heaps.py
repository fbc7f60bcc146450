"""The heaps in which HDF5 keeps texts of varying length; its library turns in circles on damaged ones, without end."""

from __future__ import annotations

import mmap
from pathlib import Path

_MARK = b"GCOL\x01"
_LEAST = 4096  # bytes of a heap


def check_heaps(path: Path, length: int) -> None:
    """Walk through every heap of a file.

    Args:
        path: an HDF5 file.
        length: bytes of its sizes.

    Raises:
        ValueError: an object in one does not end within it, or has no size.

    Source:
        HDF5 File Format Specification, III.E, Disk Format: Level 1E - Global Heap.
    """
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as held:
        start = held.find(_MARK)
        while start >= 0:
            size = int.from_bytes(held[start + 8 : start + 8 + length], "little")
            if _LEAST <= size <= len(held) - start:  # else it is no heap: other bytes may look like the mark
                _check_heap(held, start, start + size, length)
            start = held.find(_MARK, start + 1)


def _check_heap(held: mmap.mmap, start: int, end: int, length: int) -> None:
    header = -(-(8 + length) // 8) * 8  # of the heap, and of each object
    at = start + header
    while end - at >= header:
        number = int.from_bytes(held[at : at + 2], "little")
        size = int.from_bytes(held[at + 8 : at + 8 + length], "little")
        step = size if number == 0 else header + -(-size // 8) * 8  # number 0 is the rest of the heap, itself included
        if not header <= step <= end - at:
            raise ValueError(f"an object of {size} bytes in a heap of {end - start}")
        at += step
