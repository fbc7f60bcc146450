"""MATLAB files up to v7, and what MATLAB's variables are called here, whichever version stored them."""

from __future__ import annotations

import math
import os
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cmc.data.formats.arrays import LABELS, SERIES, NamedArrays, dense, is_numeric
from cmc.data.formats.child import read_apart
from cmc.errors import UserError
from cmc.utils.memory import check_size

_OTHERS = ("object", "function", "opaque", "unknown")  # classes of `whosmat` that hold no matrix
_LEAST = {"char": 4, "cell": 8, "sparse": 0, "struct": 0} | dict.fromkeys(
    _OTHERS, 0
)  # bytes that an entry takes; of numbers 1
_MOST_NESTED = 8  # cells
OTHER = np.empty((1, 1), dtype=object)  # in the place of an object, a function: named as not used
Variable = NDArray[Any] | list[NDArray[Any]]  # a list is a cell array, in MATLAB's linear order


def read_mat(path: Path) -> NamedArrays:
    """Read all variables of a MATLAB file up to v7; `name_variables` says what becomes of them.

    Raises:
        UserError: The file is damaged.
    """
    return read_apart(_read, path, "a MATLAB file")


def _read(path: Path) -> NamedArrays:
    from scipy.io import loadmat, whosmat
    from scipy.io.matlab import matfile_version

    if matfile_version(path, appendmat=False)[0] == 1:
        _check_length(path)
    listed = [each for each in whosmat(path, appendmat=False) if not each[0].startswith("__")]
    check_size(str(path), sum(_LEAST.get(kind, 1) * math.prod(shape) for _, shape, kind in listed))
    used = [name for name, _, kind in listed if kind not in _OTHERS]
    found = loadmat(path, appendmat=False, variable_names=used)
    variables: dict[str, Variable] = {}
    for name, *_ in listed:
        for own, value in (_fields(name, found[name]) if name in used else {name: None}).items():
            variables[name if own in variables else own] = OTHER if value is None else _variable(value)
    return name_variables(path, variables)


def _fields(name: str, value: Any, depth: int = 0) -> dict[str, Any]:
    """A variable; of a struct of one entry its fields, and of a cell that holds nothing but cells these."""
    if type(value) is np.ndarray and value.size == 1 and depth < _MOST_NESTED:
        if value.dtype.names and any(np.size(value[field].item()) > 1 for field in value.dtype.names):
            return {
                own: inner
                for field in value.dtype.names
                for own, inner in _fields(field, value[field].item(), depth + 1).items()
            }
        if value.dtype == object and type(inner := value.item()) is np.ndarray and inner.dtype == object:
            return _fields(name, inner, depth + 1)
    return {name: value}


def _check_length(path: Path) -> None:
    """Refuse a MATLAB v5 file that ends within a variable: where it is not read SciPy would not notice.

    Source:
        MathWorks, MAT-File Format, Level 5: 128 bytes, then elements, each with its type and its size before it.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        order = "<" if file.read(128)[126:] == b"IM" else ">"
        while (at := file.tell()) < size:
            tag = file.read(8)
            n_bytes = struct.unpack(f"{order}4xI", tag)[0] if len(tag) == 8 else 0
            if file.seek(n_bytes, os.SEEK_CUR) > size or len(tag) < 8:
                raise ValueError(f"a variable of {n_bytes} bytes at byte {at}, beyond the end")


def _variable(value: Any) -> Variable:
    """What SciPy made of a variable: a matrix, or the cells of an array of cells."""
    if not _is_plain(value):
        return OTHER
    return [dense(cell) for cell in value.ravel(order="F")] if value.dtype == object else dense(value)


def _is_plain(value: Any, depth: int = 0) -> bool:
    """Tell numbers, text, and cells of these from a struct, an object, a function."""
    if hasattr(value, "toarray"):
        return True
    if type(value) is not np.ndarray or value.dtype.names is not None:
        return False
    cells = value.ravel() if value.dtype == object else ()
    return depth <= _MOST_NESTED and all(_is_plain(cell, depth + 1) for cell in cells)


def name_variables(path: Path, variables: Mapping[str, Variable]) -> NamedArrays:
    """Give every matrix in MATLAB's variables a name.

    The cells of ``X`` become ``X1, X2, ...`` as in MATLAB's ``X{1}, X{2}, ...``, and so do those of any cell array that
    holds numbers; other cells stay together, as objects. A cell of labels, one vector a modality or one
    value a sample, becomes one vector.
    What MATLAB holds as a matrix of one row or column becomes a vector, unless its name makes it a modality.

    Raises:
        UserError: The cells of labels differ, or a cell has the name of another variable.
    """
    arrays: NamedArrays = {}
    for name, value in variables.items():
        for own, array in _arrays(path, name, value).items():
            if own in arrays:
                raise UserError(f"{path}: both a cell of an array and a variable are {own!r}; rename one in MATLAB")
            arrays[own] = array
    return arrays


def _arrays(path: Path, name: str, value: Variable) -> NamedArrays:
    if isinstance(value, np.ndarray):
        vector = 1 in value.shape and not SERIES.fullmatch(name)
        return {name: value.squeeze() if vector else value}
    if name in LABELS and value:
        return {name: _common(path, name, value)}
    if any(map(is_numeric, value)):
        return {f"{name}{i}": cell for i, cell in enumerate(value, start=1)}
    return {name: np.empty((1, len(value)), dtype=object)}


def _common(path: Path, name: str, cells: list[NDArray[Any]]) -> NDArray[Any]:
    if all(cell.size == 1 for cell in cells):  # one cell a sample, such as names of classes
        return np.array([cell.item() for cell in cells])
    first, *others = (cell.squeeze() for cell in cells)
    for i, other in enumerate(others, start=2):
        if not np.array_equal(first, other):
            raise UserError(
                f"{path}: the labels {name}{{1}} and {name}{{{i}}} differ, but every modality shows the same samples "
                f"in the same order; bring them into one order, and save {name} as one vector"
            )
    return first
