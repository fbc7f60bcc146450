"""Reading in a process of its own, so that a library that breaks on a damaged file breaks nothing else."""

from __future__ import annotations

import faulthandler
import json
import os
import signal
import warnings
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import IO, Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from cmc.data.formats.arrays import Arrays
from cmc.errors import UserError
from cmc.reading import reading

_CAN_FORK = hasattr(os, "fork")


def read_apart(read: Callable[[Path], Arrays], path: Path, form: str) -> Arrays:
    """What a reader returns, read by a fork of this process; without fork (Windows) it is read here.

    Arrays come one after the other, and those that the reader maps are mapped again. The fork is made where no other
    thread is reading, and uses the reader's library and NumPy alone.

    Args:
        read: the reader, whose arrays are numbers, texts, or objects that nobody looks into.
        path: the file.
        form: what it is read as, with its article.

    Raises:
        UserError: as the reader does; the reader's process died.
    """
    if not _CAN_FORK:
        return read(path)
    with reading(path, form):
        receiving, sending = os.pipe()
        if (pid := os.fork()) == 0:
            _read_and_send(read, path, sending)
        os.close(sending)
        try:
            with os.fdopen(receiving, "rb") as pipe:
                arrays = _received(pipe, path)
        finally:
            os.kill(pid, signal.SIGKILL)  # where it is still at work: something was raised here, Ctrl-C maybe
            _, status = os.waitpid(pid, 0)
        if arrays is None:
            raise ValueError(f"the library that reads it broke down, signal {os.WTERMSIG(status)}")
        return arrays


def _read_and_send(read: Callable[[Path], Arrays], path: Path, sending: int) -> NoReturn:
    """The child's part, which ends the child."""
    try:
        for standard in (1, 2):  # what a dying library says is for no user
            os.dup2(os.open(os.devnull, os.O_WRONLY), standard)
        faulthandler.disable()
        warnings.simplefilter("ignore")
        with os.fdopen(sending, "wb") as pipe:
            try:
                arrays = read(path)
            except UserError as refusal:
                _put(pipe, refused=str(refusal))
            else:
                for name in list(arrays):
                    _send(pipe, path, name, arrays.pop(name))
                _put(pipe, end=True)
    finally:
        os._exit(0)


def _send(pipe: IO[bytes], path: Path, name: str, array: NDArray[Any]) -> None:
    contiguous = array.flags.c_contiguous or array.flags.f_contiguous
    if isinstance(array, np.memmap) and array.size and contiguous:
        order = "C" if array.flags.c_contiguous else "F"
        _put(pipe, name=name, dtype=array.dtype.str, offset=_offset(array), shape=array.shape, order=order)
    elif array.dtype.kind == "O":
        _put(pipe, name=name, objects=array.shape)
    else:
        _put(pipe, name=name)
        plain = SimpleNamespace(write=pipe.write)  # of a file NumPy asks the position, which a pipe has not
        np.lib.format.write_array(plain, np.asarray(array), allow_pickle=False)


def _offset(array: np.memmap[Any, Any]) -> int:
    """Where in its file an array begins that is part of a mapped one."""
    root = array
    while isinstance(root.base, np.memmap):
        root = root.base
    return int(root.offset + array.ctypes.data - root.ctypes.data)


def _received(pipe: IO[bytes], path: Path) -> Arrays | None:
    """The parent's part; None where the child died before the end."""
    arrays: Arrays = {}
    while line := pipe.readline():
        said = json.loads(line)
        if "refused" in said:
            raise UserError(said["refused"])
        if "end" in said:
            return arrays
        if "offset" in said:
            where = (said["offset"], tuple(said["shape"]), said["order"])
            arrays[said["name"]] = np.memmap(path, said["dtype"], "r", *where)
        elif "objects" in said:
            arrays[said["name"]] = np.empty(said["objects"], dtype=object)
        else:
            plain = SimpleNamespace(read=pipe.read)
            arrays[said["name"]] = np.lib.format.read_array(plain, allow_pickle=False)
    return None


def _put(pipe: IO[bytes], **said: Any) -> None:
    pipe.write(json.dumps(said).encode() + b"\n")
