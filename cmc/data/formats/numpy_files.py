"""NumPy's own forms: an archive of arrays, or a folder of them. Nothing is ever unpickled."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from cmc.data.formats.arrays import NamedArrays
from cmc.data.formats.sniff import files_in
from cmc.errors import UserError
from cmc.utils.memory import check_size
from cmc.utils.safe_read import reading


def read_npz(path: Path) -> NamedArrays:
    """Read all arrays of a NumPy archive.

    Raises:
        UserError: The archive is damaged, or holds something other than plain arrays.
    """
    arrays: NamedArrays = {}
    # opened here because np.load leaves a file open that proves to be cut short
    with reading(path, "a NumPy archive"), path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
        check_size(str(path), sum(member.file_size for member in archive.zip.infolist()))
        for name in archive.files:
            where = f"{path}, array {name!r}"
            with reading(where, "a NumPy array"):
                _check_header(where, archive.zip, name)
                array = archive[name]
            if not isinstance(array, np.ndarray):
                raise UserError(f"{path}: {name!r} in it is no NumPy array; unpack the archive and give what it holds")
            arrays[name] = array
    return arrays


def _check_header(where: str, archive: ZipFile, name: str) -> None:
    """Refuse an array whose header declares more than reading may take, for which NumPy would ask at once."""
    with archive.open(name if name in archive.namelist() else f"{name}.npy") as file:
        if file.read(len(npy.MAGIC_PREFIX)) != npy.MAGIC_PREFIX:
            return
        file.seek(0)
        old = npy.read_magic(file) == (1, 0)  # the third version differs from the second in the letters of names alone
        shape, _, dtype = (npy.read_array_header_1_0 if old else npy.read_array_header_2_0)(file)
    check_size(where, math.prod(shape) * dtype.itemsize)


def read_npy_folder(path: Path) -> NamedArrays:
    """Map all ``.npy`` files of a folder into memory, each named by its file.

    Raises:
        UserError: One is damaged or holds Python objects.
    """
    arrays: NamedArrays = {}
    for file in files_in(path, ".npy"):
        arrays[file.stem] = map_npy(file)
    return arrays


def map_npy(file: Path) -> NDArray[Any]:
    """Map a ``.npy`` file into memory.

    Raises:
        UserError: It is damaged or holds Python objects.
    """
    with reading(file, "a NumPy array"):
        mapped: NDArray[Any] = npy.open_memmap(file, mode="r")
    return mapped
