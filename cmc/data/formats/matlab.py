"""MATLAB files up to v7, and what MATLAB's variables are called here, whichever version stored them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cmc.data.formats.arrays import LABELS, SERIES, NamedArrays, dense, is_numeric
from cmc.data.formats.mat5 import Walk
from cmc.errors import UserError
from cmc.utils.safe_read import reading

OTHER = np.empty((1, 1), dtype=object)  # in the place of a struct, an object, a function: named as not used
Variable = NDArray[Any] | list[NDArray[Any]]  # a list is a cell array, in MATLAB's linear order


def read_mat(path: Path) -> NamedArrays:
    """Read all variables of a MATLAB file up to v7; `name_variables` says what becomes of them.

    Raises:
        UserError: The file is damaged.
    """
    from scipy.io import loadmat
    from scipy.io.matlab import matfile_version

    with reading(path, "a MATLAB file"):
        walk = Walk(path) if matfile_version(path, appendmat=False)[0] == 1 else None
        variables = loadmat(path, appendmat=False, variable_names=walk.used if walk else None)
        read: dict[str, Variable] = {
            name: [dense(cell) for cell in value.ravel(order="F")] if value.dtype == object else dense(value)
            for name, value in variables.items()
            if not name.startswith("__")
        }
        return name_variables(path, read | {name: OTHER for name in (walk.others if walk else ()) if name})


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
