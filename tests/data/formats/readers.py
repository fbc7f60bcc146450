"""Readers for `cmc.data.formats.child` that do what libraries do to a damaged file, and worse."""

from __future__ import annotations

import os
import re
import signal
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from cmc.data.formats import NamedArrays
from cmc.errors import UserError


def varied(path: Path) -> NamedArrays:
    """Arrays of every kind that readers return."""
    mapped: Any = np.memmap(path, np.float32, "r", 8, (6, 4))
    turned: Any = np.memmap(path, np.float32, "r", 12, (6, 4), order="F")
    return {
        "rows": np.arange(12.0).reshape(3, 4),
        "columns": np.asfortranarray(np.arange(12).reshape(3, 4)),
        "turned": np.arange(24).reshape(2, 3, 4).T,
        "every other": np.arange(24.0).reshape(4, 6)[:, ::2],
        "the last": np.arange(24.0).reshape(4, 6)[2:],
        "big-endian": np.arange(5, dtype=">i2"),
        "half": np.arange(5, dtype=np.float16),
        "texts": np.array(["a", "bä\n"]),
        "bytes": np.array([b"a", b"b\xff\n"]),
        "truths": np.array([True, False]),
        "complex": np.arange(4) * 1j,
        "long double": np.arange(3, dtype=np.longdouble),
        "dates": np.array(["2026-11-22"], "M8[D]"),
        "none": np.empty((0, 7)),
        "one": np.array(3.0),
        "several pieces": np.arange(5_000_001, dtype=">i8"),
        "of bytes": np.frombuffer(bytes(range(256)) * 2**17, np.uint8),
        "mapped": mapped,
        "mapped, turned": mapped.T,
        "mapped by columns": turned,
        "mapped, squeezed": np.memmap(path, np.float32, "r", 0, (60, 1)).squeeze(),
        "mapped, in part": mapped[2:5],
        "mapped, with gaps": mapped[:, 1:3],
    }


def others(path: Path) -> NamedArrays:
    """What is no plain array."""
    records = np.zeros((4, 1), [("a", "i4"), ("b", "f8")])
    return {"objects": np.array([[print, None]]), "records": records, "void": np.zeros(2, "V7")}


def ones(path: Path) -> NamedArrays:
    """300 MiB."""
    return {"x": np.ones((300, 2**18), np.float32)}


def where(path: Path) -> NamedArrays:
    """What this process is."""
    heavy = [name for name in ("torch", "pytorch_lightning", "pytest") if name in sys.modules]
    return {"pid": np.array(os.getpid()), "session": np.array(os.getsid(0)), "heavy": np.array(heavy, dtype=str)}


def talkative(path: Path) -> NamedArrays:
    """Speak on every way out."""
    print("hello", flush=True)
    for descriptor in (1, 2):
        os.write(descriptor, b"corrupted size vs. prev_size\n")
    return {"x": np.eye(2)}


def killed(path: Path) -> NamedArrays:
    """Die of the signal whose number is in the file."""
    os.kill(os.getpid(), int(path.read_text()))
    return {}


def exiting(path: Path) -> NamedArrays:
    """End without a word."""
    os._exit(3)


def dying_while_it_sends(path: Path) -> NamedArrays:
    """End when the first array is sent."""

    class Deadly(dict[str, Any]):
        def pop(self, name: str) -> Any:  # type: ignore[override]
            return super().pop(name) if name == "x" else os.kill(os.getpid(), signal.SIGKILL)

    return Deadly(x=np.eye(3), y=np.eye(3))


def refusing(path: Path) -> NamedArrays:
    """Find a mistake of the user's."""
    raise UserError(f"{path}: no")


def failing(path: Path) -> NamedArrays:
    """Raise."""
    raise RuntimeError("out of tune")


def greedy(path: Path) -> NamedArrays:
    """Ask for 2 GiB."""
    return {"x": np.ones(2**28)}


def hoarding(path: Path) -> NamedArrays:
    """Return 48 MiB, none of it much."""
    return {f"x{i}": np.ones(2**20) for i in range(6)}


def turning(path: Path) -> NamedArrays:
    """Turn in circles, within C, where no other thread of Python has a turn; say first who does."""
    _say_who(path)
    re.match("(a+)+$", "a" * 60 + "b")
    return {}


def waiting(path: Path) -> NamedArrays:
    """Wait for ever."""
    _say_who(path)
    while True:
        time.sleep(600)


def _say_who(path: Path) -> None:
    path.with_suffix(".new").write_text(str(os.getpid()))
    path.with_suffix(".new").replace(path.with_suffix(".pid"))
