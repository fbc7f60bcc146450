"""Reading in a process of its own, so that a library that breaks on a damaged file breaks nothing else."""

from __future__ import annotations

import ctypes
import faulthandler
import json
import mmap
import os
import signal
import sys
import warnings
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from cmc.data.formats.arrays import NamedArrays
from cmc.errors import UserError
from cmc.utils.safe_read import line, reading

_CAN_FORK = hasattr(os, "fork")
_PIECE = 2**24  # bytes that are sent at once
_DIE_WITH_PARENT = 1  # PR_SET_PDEATHSIG of prctl.h


def read_apart(read: Callable[[Path], NamedArrays], path: Path, form: str) -> NamedArrays:
    """What a reader returns, read by a fork of this process; where the system cannot fork it is read here.

    Arrays come one after the other, in pieces that the fork forgets once they are sent, so that both together hold an
    array once; those that the reader maps are mapped again, and of objects and records, into which nobody looks, the
    shape alone comes, as that of objects.

    Args:
        read: the reader; what it needs is imported already, for the fork must not wait for another thread's import.
        path: the file.
        form: what it is read as, with its article.

    Raises:
        UserError: as the reader does; the reader's process died.
    """
    if not _CAN_FORK:
        return read(path)
    with reading(path, form):
        receiving, sending = os.pipe()
        try:
            pid = os.fork()
        except OSError:
            os.close(receiving)
            os.close(sending)
            return read(path)
        if pid == 0:
            _read_and_send(read, path, sending)
        os.close(sending)
        arrays, told = None, False
        try:
            with os.fdopen(receiving, "rb") as pipe:
                arrays = _received(pipe, path)
            told = True
        finally:
            number = _ended(pid, at_once=not told)
        if arrays is None:
            raise ValueError(f"the library that reads it broke down{number and f', signal {number}'}")
        return arrays


def _ended(pid: int, at_once: bool) -> int | str:
    """Wait for the child, or end it; the number of the signal that it died of, an empty text where there was none."""
    with suppress(ProcessLookupError, ChildProcessError):  # where SIGCHLD is ignored nothing is left of it
        if at_once:
            os.kill(pid, signal.SIGKILL)
        _, status = os.waitpid(pid, 0)
        return os.WTERMSIG(status) if os.WIFSIGNALED(status) else ""
    return ""


def _read_and_send(read: Callable[[Path], NamedArrays], path: Path, sending: int) -> NoReturn:
    """The child's part, which ends the child."""
    try:
        _alone()
        with os.fdopen(sending, "wb") as pipe:
            try:
                arrays = read(path)
                for name in list(arrays):
                    _send(pipe, name, arrays.pop(name))
                _put(pipe, end=True)
            except UserError as refusal:
                _put(pipe, refused=str(refusal))
            except Exception as error:
                _put(pipe, failed=line(error))
    finally:
        os._exit(0)


def _alone() -> None:
    """Say nothing, heed no handler of the parent's, and do not outlive it."""
    for standard in (1, 2):  # what a dying library says is for no user
        os.dup2(os.open(os.devnull, os.O_WRONLY), standard)
    faulthandler.disable()
    warnings.simplefilter("ignore")
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent, which gets it too, ends us
    for number in (signal.SIGTERM, signal.SIGUSR1):
        signal.signal(number, signal.SIG_DFL)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_DIE_WITH_PARENT, signal.SIGKILL)


def _send(pipe: IO[bytes], name: str, array: NDArray[Any]) -> None:
    if array.dtype.kind in "OV":
        _put(pipe, name=name, objects=array.shape)
        return
    if not (array.flags.c_contiguous or array.flags.f_contiguous):
        array = np.ascontiguousarray(array)
    order = "C" if array.flags.c_contiguous else "F"
    said = {"name": name, "dtype": array.dtype.str, "shape": array.shape, "order": order}
    if isinstance(array, np.memmap) and array.size:
        _put(pipe, offset=_offset(array), **said)
        return
    _put(pipe, **said)
    whole = _bytes(array)
    for start in range(0, len(whole), _PIECE):
        pipe.write(whole[start : start + _PIECE].data)
        if array.flags.owndata:
            _forget(whole[start : start + _PIECE])


def _bytes(array: NDArray[Any]) -> NDArray[np.uint8]:
    """The bytes of a contiguous array, in the order in which they lie."""
    flat: NDArray[np.uint8] = array.reshape(-1, order="A").view(np.uint8) if array.size else np.empty(0, np.uint8)
    return flat


def _forget(part: NDArray[np.uint8]) -> None:
    """Give whole pages of a part back to the system, where it knows how; their values are lost."""
    first = -(-part.ctypes.data // mmap.PAGESIZE) * mmap.PAGESIZE
    size = (part.ctypes.data + len(part) - first) // mmap.PAGESIZE * mmap.PAGESIZE
    if size > 0 and sys.platform == "linux":
        ctypes.CDLL(None).madvise(ctypes.c_void_p(first), ctypes.c_size_t(size), mmap.MADV_DONTNEED)


def _offset(array: np.memmap[Any, Any]) -> int:
    """Where in its file an array begins that is part of a mapped one."""
    root = array
    while isinstance(root.base, np.memmap):
        root = root.base
    return int(root.offset + array.ctypes.data - root.ctypes.data)


def _received(pipe: IO[bytes], path: Path) -> NamedArrays | None:
    """The parent's part; None where the child died before the end."""
    arrays: NamedArrays = {}
    while head := pipe.readline():
        said = json.loads(head)
        if "refused" in said:
            raise UserError(said["refused"])
        if "failed" in said:
            raise ValueError(said["failed"])
        if "end" in said:
            return arrays
        name, shape = said["name"], tuple(said.get("shape", ()))
        if "objects" in said:
            arrays[name] = np.empty(said["objects"], dtype=object)
        elif "offset" in said:
            arrays[name] = np.memmap(path, said["dtype"], "r", said["offset"], shape, said["order"])
        else:
            arrays[name] = np.empty(shape, said["dtype"], said["order"])
            whole = _bytes(arrays[name])
            for start in range(0, len(whole), _PIECE):
                part = whole[start : start + _PIECE]
                if pipe.readinto(part) < len(part):  # type: ignore[attr-defined]
                    return None
    return None


def _put(pipe: IO[bytes], **said: Any) -> None:
    pipe.write(json.dumps(said).encode() + b"\n")
