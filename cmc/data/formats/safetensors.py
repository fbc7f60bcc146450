"""``.safetensors``: named tensors in one piece behind a heading of JSON; nothing in it can run code.

Source:
    https://github.com/huggingface/safetensors#format
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cmc.data.formats.arrays import NamedArrays
from cmc.utils.memory import check_size
from cmc.utils.safe_read import reading

_LONGEST = 10**8  # bytes of the heading, as its authors limit it
_TYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BOOL": "?"} | {
    f"{kind}{8 * size}": f"<{kind.lower()}{size}" for kind in "IU" for size in (1, 2, 4, 8)
}
_HALVED = "BF16"  # the upper half of a float32


def is_safetensors(path: Path, head: bytes) -> bool:
    """Tell by the name, or by a heading of JSON behind its length."""
    return path.suffix.lower() == ".safetensors" or (head[8:9] == b"{" and head[6:8] == b"\0\0" and b'"dtype"' in head)


def read_safetensors(path: Path) -> NamedArrays:
    """Map all tensors into memory; bfloat16 becomes float32, and a type that NumPy has not is an object.

    Raises:
        UserError: The file is damaged.
    """
    with reading(path, "safetensors"):
        begin, listed = _heading(path)
        return {name: _tensor(path, name, said, begin) for name, said in listed.items() if name != "__metadata__"}


def _heading(path: Path) -> tuple[int, dict[str, Any]]:
    """Where the tensors begin, and what is said of each."""
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if length > min(_LONGEST, path.stat().st_size - 8):
            raise ValueError(f"a heading of {length} bytes")
        listed = json.loads(file.read(length))
    if not isinstance(listed, dict):
        raise ValueError("its heading is no mapping")
    return 8 + length, listed


def _tensor(path: Path, name: str, said: Any, begin: int) -> NDArray[Any]:
    kind, shape, (start, end) = str(said["dtype"]), tuple(said["shape"]), said["data_offsets"]
    if not all(type(n) is int and n >= 0 for n in (*shape, start, end)):
        raise ValueError(f"the shape or the place of {name!r} is no whole number")
    if kind not in (*_TYPES, _HALVED):
        return np.empty((1, 1), dtype=object)
    dtype = np.dtype("<u2" if kind == _HALVED else _TYPES[kind])
    if end - start != math.prod(shape) * dtype.itemsize or begin + end > path.stat().st_size:
        raise ValueError(f"{name!r} lies at bytes {start} to {end}, which does not fit its shape or the file")
    if not math.prod(shape) or not shape:
        with path.open("rb") as file:
            file.seek(begin + start)
            return np.frombuffer(file.read(end - start), dtype).reshape(shape)
    array: NDArray[Any] = np.memmap(path, dtype, "r", begin + start, shape)
    if kind == _HALVED:
        check_size(f"{path}, tensor {name!r}", 4 * array.size)
        widened = array.astype(np.uint32)
        widened <<= 16
        return widened.view(np.float32)
    return array if array.flags.aligned else np.array(array)
