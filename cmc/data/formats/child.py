"""Reading in a process of its own, so that a library that breaks on a stranger's file breaks nothing else.

SciPy and HDF5 trust what a file says of itself: on a damaged one they crash, turn in circles, or ask for any amount of
memory. The child has limits on memory and time; whatever becomes of it, the user gets the arrays or one line.

The child is a fresh interpreter. A fork of a process that has threads (PyTorch's, those of a user's own program) may
wait for ever for a lock that one of them held; and ``multiprocessing`` would import the user's main script once more,
which a notebook does not have. What it sends is JSON and bare numbers, no pickle: a library that writes where it must
not may have written anything.
"""

from __future__ import annotations

import fcntl
import json
import math
import os
import resource
import select
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib import import_module
from mmap import mmap
from pathlib import Path
from typing import IO, Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from cmc.data.formats.arrays import NamedArrays
from cmc.errors import UserError
from cmc.utils.memory import check_size, limit
from cmc.utils.safe_read import reading

_PIECE = 2**24  # bytes that are sent at once
_LONGEST = 2**20  # bytes of what is said of an array
_SLACK = 2**28  # bytes of address space for what libraries load, and for their own needs
_LEAST_SECONDS = 60.0
_SLOWEST = 2**21  # bytes a second
_START = "import sys; sys.path[:] = sys.argv[5:]; from cmc.data.formats.child import main; main()"


def read_apart(read: Callable[[Path], NamedArrays], path: Path, form: str) -> NamedArrays:
    """What a reader returns, read by a child process.

    Arrays come one after the other, and the child lets go of a piece as soon as it is sent. Those that the reader maps
    are mapped again. Of objects and records, into which nobody looks, the shape alone comes, as that of objects.

    The child may take as much memory as `cmc.utils.memory.limit` says, and for reading, before it sends anything, a
    minute and a second for every 2 MiB of the file. No disk that one works from is slower, and of a file that is packed
    fifty to one that asks for 100 MiB/s, a third of what zlib does. A small file that keeps a library busy for a
    minute is damaged. Time is the clock's: a damaged file may also have a library wait.

    Args:
        read: a function of a module, by whose name the child finds it.
        path: the file.
        form: what it is read as, with its article.

    Raises:
        UserError: as the reader does; the child died or came to no end.
    """
    with reading(path, form):
        seconds = _LEAST_SECONDS + _size(path) / _SLOWEST
        with _started(read, path, form, seconds) as child:
            assert child.stdout
            try:
                arrays = _received(child.stdout, path)
            finally:
                child.kill()
        if arrays is None:
            raise ValueError(_end(child.returncode, seconds))
        return arrays


def _size(path: Path) -> int:
    """Bytes of a file, or of the files in a folder."""
    return sum(each.stat().st_size for each in path.iterdir()) if path.is_dir() else path.stat().st_size


def _started(read: Callable[[Path], NamedArrays], path: Path, form: str, seconds: float) -> subprocess.Popen[bytes]:
    """The child, in a session of its own: Ctrl-C is the parent's, which ends it, and Ctrl-Z stops the parent alone."""
    told = [str(path), form, f"{read.__module__}:{read.__qualname__}", str(seconds)]
    places = [*(str(place) for place in sys.path if place), str(Path(__file__).parents[3])]
    try:
        return subprocess.Popen(
            [sys.executable, "-W", "ignore", "-c", _START, *told, *places],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # what a dying library says is for no user
            start_new_session=True,
            env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
        )
    except OSError as error:
        raise UserError(
            f"{path}: no process can be started to read it in ({error.strerror}); close other programs"
        ) from None


def _end(status: int, seconds: float) -> str:
    """How a child ended that sent no end."""
    if status == -signal.SIGALRM:
        return f"the library that reads it came to no end within {seconds:.0f} s"
    how = f", signal {-status}" if status < 0 else f", status {status}" if status else ""
    return f"the library that reads it broke down{how}"


def _received(pipe: IO[bytes], path: Path) -> NamedArrays | None:
    """The parent's part; None where the child died before the end."""
    arrays: NamedArrays = {}
    while (head := pipe.readline(_LONGEST)).endswith(b"\n"):
        said = json.loads(head)
        if "refused" in said:
            raise UserError(said["refused"])
        if "end" in said:
            return arrays
        name, shape, dtype = said["name"], tuple(said["shape"]), np.dtype(said["dtype"])
        if "offset" in said:
            arrays[name] = np.memmap(path, dtype, "r", said["offset"], shape, said["order"])
        elif dtype.hasobject:
            arrays[name] = np.empty(shape, dtype=object)
        else:
            arrays[name] = np.empty(shape, dtype, said["order"])
            for start, end in _pieces(arrays[name]):
                part = _bytes(arrays[name], start, end)
                if pipe.readinto(part) < len(part):  # type: ignore[attr-defined]
                    return None
    return None


def _pieces(array: NDArray[Any]) -> Iterator[tuple[int, int]]:
    """Where pieces of an array begin and end in the order in which its values lie, the last first."""
    step = max(1, _PIECE // array.itemsize)
    return ((max(0, end - step), end) for end in range(array.size, 0, -step))


def _bytes(array: NDArray[Any], start: int, end: int) -> memoryview:
    """The bytes of such a piece, of a contiguous array."""
    return array.reshape(-1, order="A")[start:end].view(np.uint8).data


def main() -> NoReturn:
    """The child's part, which ends the child."""
    path, form, reader, seconds = sys.argv[1:5]
    status = 1
    try:
        with os.fdopen(os.dup(1), "wb") as pipe:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            try:
                _end_with_parent()
                with reading(path, form):
                    arrays = _read(reader, Path(path), float(seconds))
                for name in list(arrays):
                    _send(pipe, name, arrays.pop(name))
                _put(pipe, end=True)
            except UserError as refusal:
                _put(pipe, refused=str(refusal))
        status = 0
    finally:
        os._exit(status)


def _end_with_parent() -> None:
    """Have the system end this process when the other end of its input closes; Python may have no turn to notice."""
    for number in (signal.SIGIO, signal.SIGALRM):
        signal.signal(number, signal.SIG_DFL)  # which ends the process
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    fcntl.fcntl(0, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(0, fcntl.F_SETFL, fcntl.fcntl(0, fcntl.F_GETFL) | os.O_ASYNC)
    if select.select([0], [], [], 0)[0]:  # closed before
        os._exit(1)


def _read(reader: str, path: Path, seconds: float) -> NamedArrays:
    """What the reader returns, within the limits."""
    module, _, name = reader.partition(":")
    read = getattr(import_module(module), name)
    _limit_memory(_size(path))
    signal.setitimer(signal.ITIMER_REAL, seconds)
    arrays: NamedArrays = read(path)
    signal.setitimer(signal.ITIMER_REAL, 0)  # from here on the parent may take its time
    check_size(str(path), sum(array.nbytes for array in arrays.values() if not isinstance(array, np.memmap)))
    return arrays


def _limit_memory(mapped: int) -> None:
    """Have the system refuse address space beyond `limit` and a file that may be mapped, where it knows how (Linux)."""
    statm = Path("/proc/self/statm")
    if math.isinf(most := limit()) or not statm.exists():
        return
    begun = int(statm.read_text().split()[0]) * resource.getpagesize()
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    room = begun + int(most) + mapped + _SLACK
    ceiling = min([room, *(x for x in (soft, hard) if x != resource.RLIM_INFINITY)])
    resource.setrlimit(resource.RLIMIT_AS, (ceiling, hard))


def _send(pipe: IO[bytes], name: str, array: NDArray[Any]) -> None:
    if array.dtype.kind in "OV":
        _put(pipe, name=name, shape=array.shape, dtype="O")
        return
    if not (array.flags.c_contiguous or array.flags.f_contiguous):
        array = np.ascontiguousarray(array)
    order = "C" if array.flags.c_contiguous else "F"
    said = {"name": name, "dtype": array.dtype.str, "shape": array.shape, "order": order}
    mapped = isinstance(array, np.memmap)
    while isinstance(array.base, np.ndarray) and array.base.nbytes == array.nbytes:  # turned, or of another shape
        array = array.base
    if mapped and isinstance(array.base, mmap):
        _put(pipe, offset=array.offset, **said)
        return
    _put(pipe, **said)
    for start, end in _pieces(array):
        pipe.write(_bytes(array, start, end))
        if array.flags.owndata:
            array.resize(start, refcheck=False)


def _put(pipe: IO[bytes], **said: Any) -> None:
    pipe.write(json.dumps(said).encode() + b"\n")
