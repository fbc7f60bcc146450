"""Files that are there whole or not at all, and stay there when the machine goes down."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})  # there is no room for what is to be written


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Give a path to write to; it takes the place of ``path`` when the block ends well, and is removed otherwise.

    Raises:
        OSError: as the block did, with ``path`` as its file name where it had none (a disk that is full has none).
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f"{path.name}.tmp{path.suffix}")
    try:
        yield unfinished
        to_disk(unfinished)
        os.replace(unfinished, path)
        with suppress(OSError):  # some file systems cannot do it for folders
            to_disk(path.parent)
    except OSError as error:
        error.filename = error.filename or str(path)
        raise
    finally:
        unfinished.unlink(missing_ok=True)


def to_disk(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on disk."""
    opened = os.open(path, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def reserve(path: Path) -> None:
    """Take the whole space of a sparse file, where the system can; the file is removed where there is none.

    An array that is mapped into memory is written to without a word of failure: where the disk is full, the system
    ends the process.

    Raises:
        OSError: there is not so much space.
    """
    if not hasattr(os, "posix_fallocate"):  # macOS
        return
    try:
        with path.open("r+b") as file:
            os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
    except OSError as error:
        path.unlink(missing_ok=True)
        error.filename = str(path)
        raise
