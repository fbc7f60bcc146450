"""HDF5: MATLAB's files since v7.3, and those that anyone else writes."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cmc.data.formats.annotated import MARK, fetch, is_annotated, tell
from cmc.data.formats.arrays import Contents, NamedArrays, dense
from cmc.data.formats.child import read_apart
from cmc.data.formats.matlab import OTHER, Variable, name_variables
from cmc.data.formats.sniff import files_in
from cmc.errors import UserError
from cmc.utils.memory import check_size
from cmc.utils.safe_read import text_array

_MOST_NESTED = 32  # groups
_CHUNK_BYTES = 2**10  # that HDF5 needs for each piece of a dataset, however small; where they run out it breaks down


def read_hdf5(path: Path) -> Contents:
    """Read all arrays of an HDF5 file; of AnnData and MuData what `cmc.data.formats.annotated` says.

    MATLAB stores every matrix with its axes reversed; they are turned back, and named by
    `cmc.data.formats.matlab.name_variables`. In any other file arrays are as they lie, in groups too; each is named by
    its last name, or by its whole path where two share that. Links that lead elsewhere are not followed. Matrices that
    lie in one piece and uncompressed, which is how h5py writes them unless told otherwise, are memory-mapped.

    Raises:
        UserError: The file is damaged.
    """
    arrays = read_apart(_read, path, "an HDF5 file")
    return tell(path, arrays) if MARK in arrays else Contents(arrays)


def read_h5ad_folder(path: Path) -> Contents:
    """Read all ``.h5ad`` files of a folder: ``rna.h5ad`` is the modality ``rna``, its ``obs`` columns ``rna:NAME``.

    Raises:
        UserError: One of them is damaged, or no AnnData.
    """
    held = Contents({})
    for file in files_in(path, ".h5ad"):
        one = read_hdf5(file)
        if "X" not in one.ids:
            raise UserError(f"{file}: no AnnData in it, or one without X and ids of its cells; write it with anndata")
        named = one.only({name: file.stem if name == "X" else f"{file.stem}:{name}" for name in one.arrays})
        held.arrays |= named.arrays
        held.ids |= named.ids
        held.asked |= named.asked
    return held


def _read(path: Path) -> NamedArrays:
    import h5py

    with h5py.File(path, "r") as file:
        if _is_matlab(path, file):
            return name_variables(path, {name: _variable(file, item) for name, item in _fields(_items(file)).items()})
        if is_annotated(file):
            return fetch(file, _as_it_lies)
        datasets = dict(_datasets(file, set()))
        last = Counter(name.rpartition("/")[2] for name in datasets)
        return {
            name if last[short := name.rpartition("/")[2]] > 1 else short: _as_it_lies(item)
            for name, item in datasets.items()
        }


def _datasets(group: Any, seen: set[int], path: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    """Paths and datasets within, each once; HDF5's own walk ends the process where groups nest without end."""
    import h5py

    if len(path) > _MOST_NESTED:
        raise ValueError(f"groups nested more than {_MOST_NESTED} deep")
    for name, item in _linked(group).items():
        if (address := h5py.h5o.get_info(item.id).addr) in seen:
            continue
        seen.add(address)
        if isinstance(item, h5py.Group):
            yield from _datasets(item, seen, (*path, name))
        elif isinstance(item, h5py.Dataset):
            yield "/".join((*path, name)), item


def _is_matlab(path: Path, file: Any) -> bool:
    with path.open("rb") as raw:
        header = raw.read(10)
    return header == b"MATLAB 7.3" or any("MATLAB_class" in item.attrs for item in _items(file).values())


def _items(file: Any) -> dict[str, Any]:
    """Return the variables, without MATLAB's own ``#refs#`` and ``#subsystem#``, and without links to elsewhere."""
    return {name: item for name, item in _linked(file).items() if not name.startswith("#")}


def _fields(items: dict[str, Any], depth: int = 0) -> dict[str, Any]:
    """Variables; in the place of a struct its fields."""
    import h5py

    found: dict[str, Any] = {}
    for name, item in items.items():
        is_struct = isinstance(item, h5py.Group) and item.attrs.get("MATLAB_class") in (b"struct", "struct")
        fields = _fields(_linked(item), depth + 1) if is_struct and depth < 2 else {}
        for own, each in (fields or {name: item}).items():
            found[name if own in found else own] = each
    return found


def _linked(group: Any) -> dict[str, Any]:
    import h5py

    names = [name for name in group if isinstance(group.get(name, getlink=True), h5py.HardLink)]
    return {name: group[name] for name in names}


def _as_it_lies(dataset: Any) -> NDArray[Any]:
    import h5py

    where = f"{dataset.file.filename}, dataset {dataset.name!r}"
    if h5py.check_string_dtype(dataset.dtype):
        check_size(where, dataset.nbytes)
        texts = np.asarray(dataset.asstr()[()], dtype=object)
        return text_array(where, texts.ravel().tolist()).reshape(texts.shape)
    if dataset.shape is None or dataset.dtype.kind == "O":
        return OTHER
    start = dataset.id.get_offset()
    if dataset.ndim == 2 and start is not None and dataset.id.get_storage_size() == dataset.nbytes:
        return np.memmap(dataset.file.filename, dataset.dtype, "r", start, dataset.shape)
    chunks = dataset.chunks or dataset.shape
    n_chunks = math.prod(-(-n // c) for n, c in zip(dataset.shape, chunks, strict=True) if c)
    check_size(where, max(dataset.nbytes, math.prod(chunks) * dataset.dtype.itemsize, n_chunks * _CHUNK_BYTES))
    return np.asarray(dataset[()])


def _variable(file: Any, item: Any) -> Variable:
    import h5py

    is_cell = isinstance(item, h5py.Dataset) and h5py.check_ref_dtype(item.dtype)
    # the axes are reversed, so that rows first is MATLAB's order, columns first
    return [_matrix(file[reference]) for reference in item[()].ravel()] if is_cell else _matrix(item)


def _matrix(item: Any) -> NDArray[Any]:
    """Read a variable, or one cell, that is a matrix; anything else is held as an object."""
    import h5py

    if "MATLAB_sparse" in item.attrs:
        return _sparse(item)
    if isinstance(item, h5py.Group) or "MATLAB_object_decode" in item.attrs:
        return OTHER
    if item.attrs.get("MATLAB_empty"):  # what is stored is the shape
        return np.empty((0, 0))
    array: NDArray[Any] = _as_it_lies(item).T
    if item.attrs.get("MATLAB_class") in (b"char", "char"):
        return np.array(["".join(map(chr, row)) for row in np.atleast_2d(array)])
    return array


def _sparse(group: Any) -> NDArray[Any]:
    """Read a sparse matrix: compressed columns, whose values and rows are missing where all are zero."""
    from scipy.sparse import csc_array

    starts = group["jc"][()]
    values, rows = (group[key][()] if key in group else np.empty(0, np.int64) for key in ("data", "ir"))
    shape = (int(group.attrs["MATLAB_sparse"]), len(starts) - 1)
    return dense(csc_array((values, rows.astype(np.int64), starts.astype(np.int64)), shape=shape))
