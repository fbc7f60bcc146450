"""AnnData and MuData: modalities of the same cells, each with its own ids, as ``.h5ad`` and ``.h5mu`` hold them.

A child process fetches arrays by their paths (`fetch`); what they are is told here (`tell`). Read are ``X``, ``obs``,
``obsm`` and ``obsmap``, in the encodings that AnnData 0.6 to 0.12 and MuData 0.1 to 0.3 write; ``raw``, ``layers`` and
``uns`` are not.

Source:
    https://anndata.readthedocs.io/en/latest/fileformat-prose.html, https://mudata.readthedocs.io
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cmc.data.formats.arrays import Contents, NamedArrays, as_ids
from cmc.data.formats.sparse import lean
from cmc.errors import UserError
from cmc.utils.memory import check_size
from cmc.utils.safe_read import reading

MARK = "#annotated"  # the name of an array that says that these arrays are `fetch`'s; no dataset is called so
_SPARSE = {"csr": "csr", "csc": "csc", "csr_matrix": "csr", "csc_matrix": "csc"}
_PARTS = ("data", "indices", "indptr")
AsItLies = Callable[[Any], NDArray[Any]]


# the child's part


def is_annotated(file: Any) -> bool:
    """Tell an AnnData or MuData file, open in h5py, by its encoding, or, of an old one, by what it holds."""
    kind = str(file.attrs.get("encoding-type", "")).lower()
    return kind in ("anndata", "mudata") or {"X", "obs", "var"} <= {*file} or ({"mod", "obs"} <= {*file})


def fetch(file: Any, read: AsItLies) -> NamedArrays:
    """Read the arrays by their paths: ``mod/rna/X``, ``mod/rna/obs/cell_type``, ``obs/``, ``obsmap/rna`` and the like.

    An index is named by the path of its frame; a sparse matrix comes in parts, ``X/csr/data`` and so on.
    """
    import h5py

    arrays = {MARK: np.array(["mudata" if "mod" in file else "anndata", str(int(file.attrs.get("axis", 0)))])}
    parents = {"": file}
    if "mod" in file:
        order = [str(name) for name in file["mod"].attrs.get("mod-order", ())]
        names = order if sorted(order) == sorted(file["mod"]) else list(file["mod"])
        parents |= {f"mod/{name}/": _hard(file["mod"], name) for name in names}
        arrays["#order"] = np.array(names, dtype=str)
    for prefix, parent in parents.items():
        if not isinstance(parent, h5py.Group):
            continue
        if "X" in parent and (prefix or "mod" not in file):
            arrays |= _matrix(f"{prefix}X", _hard(parent, "X"), read)
        if "obs" in parent:
            arrays |= _frame(f"{prefix}obs/", _hard(parent, "obs"), _hard(parent, "uns"), read)
        for group in ("obsm", "obsmap"):
            held = _hard(parent, group)
            for name in held if isinstance(held, h5py.Group) else ():
                arrays |= _matrix(f"{prefix}{group}/{name}", _hard(held, name), read)
    return arrays


def _hard(group: Any, name: str) -> Any:
    """What lies in the file itself under this name; nothing for a link to elsewhere."""
    import h5py

    return group[name] if isinstance(group.get(name, getlink=True), h5py.HardLink) else None


def _matrix(path: str, item: Any, read: AsItLies) -> NamedArrays:
    import h5py

    if isinstance(item, h5py.Dataset):
        if item.dtype.names is None:
            return {path: read(item)}
        return {path: np.stack([item[field] for field in item.dtype.names], 1)} if item.ndim == 1 else {}
    if not isinstance(item, h5py.Group):
        return {}
    kind = _SPARSE.get(str(item.attrs.get("encoding-type", item.attrs.get("h5sparse_format", ""))))
    if kind:
        shape = item.attrs["shape"] if "shape" in item.attrs else item.attrs["h5sparse_shape"]
        parts = {f"{path}/{kind}/{part}": read(_hard(item, part)) for part in _PARTS}
        return {**parts, f"{path}/{kind}/shape": np.asarray(shape, dtype=np.int64)}
    columns = [column for _, column in _columns("", item, None, read) if column.dtype.kind in "buif"]
    return {path: np.stack(columns, 1)} if columns else {}


def _frame(path: str, item: Any, uns: Any, read: AsItLies) -> NamedArrays:
    """A data frame's columns and, under its own path, its index."""
    import h5py

    arrays = {f"{path}{name}": column for name, column in _columns(path, item, uns, read)}
    if isinstance(item, h5py.Dataset) and item.dtype.names:
        index = next((name for name in ("index", "_index") if name in item.dtype.names), item.dtype.names[0])
    else:
        index = str(item.attrs.get("_index", "_index" if "_index" in item else "index"))
    if (found := arrays.pop(f"{path}{index}", None)) is not None:
        arrays[path] = as_ids(found)
    return arrays


def _columns(path: str, item: Any, uns: Any, read: AsItLies) -> Iterator[tuple[str, NDArray[Any]]]:
    """The vectors of a frame: of a group, or of one table of records, as AnnData wrote them before 0.7."""
    import h5py

    if isinstance(item, h5py.Dataset):
        check_size(path, item.nbytes)
        for name in item.dtype.names or ():
            column = item[name]
            named = _hard(uns, f"{name}_categories") if isinstance(uns, h5py.Group) else None
            if isinstance(named, h5py.Dataset):
                column = _named(path, column, read(named))
            yield name, _plain(column)
        return
    for name in item:
        if (column := _column(f"{path}{name}", item, name, read)) is not None and column.ndim == 1:
            yield name, column


def _column(where: str, frame: Any, name: str, read: AsItLies) -> NDArray[Any] | None:
    import h5py

    item = _hard(frame, name)
    if isinstance(item, h5py.Dataset):
        if item.ndim != 1:
            return None
        values = read(item)
        named = item.attrs.get("categories")  # of AnnData 0.7: a reference
        return _named(where, values, read(frame.file[named])) if isinstance(named, h5py.Reference) else _plain(values)
    if not isinstance(item, h5py.Group):
        return None
    if {"codes", "categories"} <= {*item}:
        return _named(where, read(_hard(item, "codes")), read(_hard(item, "categories")))
    if {"values", "mask"} <= {*item}:  # a nullable column
        values, mask = _plain(read(_hard(item, "values"))), read(_hard(item, "mask")).astype(bool)
        return np.where(mask, "", values) if values.dtype.kind == "U" else np.where(mask, np.nan, values.astype(float))
    return None


def _named(where: str, codes: NDArray[Any], categories: NDArray[Any]) -> NDArray[np.str_]:
    """Categories by their codes; nothing for a code below 0."""
    names = np.array(["", *map(str, as_ids(categories).tolist())], dtype=str)
    check_size(where, float(codes.size * names.itemsize))
    return np.asarray(names[np.where(codes < 0, 0, codes.astype(np.int64) + 1)])


def _plain(column: NDArray[Any]) -> NDArray[Any]:
    return as_ids(column) if column.dtype.kind in "SO" else column


# the parent's part


def tell(path: Path, arrays: NamedArrays) -> Contents:
    """Name what `fetch` found: ``rna`` and ``rna:cell_type``, or ``X`` and ``cell_type``, and obsm as ``rna:NAME``.

    Raises:
        UserError: features are shared, not samples; a sparse matrix or ids that are damaged; ``obsmap`` and ids that
            disagree.
    """
    kind, axis = arrays[MARK].tolist()
    if axis != "0":
        raise UserError(f"{path}: its modalities share features (axis {axis}), not samples; give one of axis 0")
    held = Contents({})
    if kind == "anndata":
        _take(held, path, arrays, "", "X", "")
        return held
    names = arrays["#order"].tolist()
    for name in names:
        _take(held, path, arrays, f"mod/{name}/", name, f"{name}:")
        if name in held.arrays and name not in held.ids:
            raise UserError(
                f"{path}: mod/{name}/obs holds no ids, so that its cells cannot be joined; the file is damaged"
            )
    root = arrays.get("obs/")
    for key, column in _below(arrays, "obs/"):
        if key and key not in held.arrays:
            held.arrays[key] = column
            if root is not None:
                held.ids[key] = root
    if root is not None:
        for name in names:
            _check_map(path, name, root, held.ids.get(name), arrays.get(f"obsmap/{name}"))
    for key, _ in _below(arrays, "obsm/"):
        if "/" not in key and key not in names:
            held.arrays[key] = arrays[f"obsm/{key}"]
            held.asked[key] = "obsm"
            if root is not None:
                held.ids[key] = root
    return held


def _take(held: Contents, path: Path, arrays: NamedArrays, prefix: str, name: str, before: str) -> None:
    """One AnnData."""
    found = {name: (f"{prefix}X", "")}
    keys = dict.fromkeys(key.split("/")[0] for key, _ in _below(arrays, f"{prefix}obsm/"))
    found |= {f"{before}{key}": (f"{prefix}obsm/{key}", "obsm") for key in keys}
    for own, (key, why) in found.items():
        if (matrix := _dense(path, arrays, key)) is None:
            continue
        held.arrays[own] = matrix[:, None] if matrix.ndim == 1 else matrix
        if why:
            held.asked[own] = why
    for key, column in _below(arrays, f"{prefix}obs/"):
        if key:
            held.arrays.setdefault(f"{before}{key}", column)
    if (ids := arrays.get(f"{prefix}obs/")) is not None:
        if name in held.arrays and len(held.arrays[name]) != len(ids):
            rows = f"{len(held.arrays[name])} rows, {prefix}obs {len(ids)} ids"
            raise UserError(f"{path}: {prefix}X has {rows}; the file is damaged")
        for own, array in held.arrays.items():
            if (own == name or own.startswith(before)) and own not in held.ids and len(array) == len(ids):
                held.ids[own] = ids


def _below(arrays: NamedArrays, prefix: str) -> list[tuple[str, NDArray[Any]]]:
    return [(key[len(prefix) :], array) for key, array in arrays.items() if key.startswith(prefix)]


def _dense(path: Path, arrays: NamedArrays, key: str) -> NDArray[Any] | None:
    if key in arrays:
        return arrays[key]
    kind = next((kind for kind in ("csr", "csc") if f"{key}/{kind}/shape" in arrays), None)
    if kind is None:
        return None
    from scipy.sparse import csc_array, csr_array

    values, indices, starts = (arrays.pop(f"{key}/{kind}/{part}") for part in _PARTS)
    shape = tuple(arrays[f"{key}/{kind}/shape"].tolist())
    with reading(f"{path}, {key}", "a sparse matrix"):
        return lean((csr_array if kind == "csr" else csc_array)((values, indices, starts), shape=shape))


def _check_map(path: Path, name: str, root: NDArray[Any], ids: NDArray[Any] | None, where: NDArray[Any] | None) -> None:
    """``obsmap`` has, for each cell of all, its place in the modality, counted from 1; 0 where it is not in it."""
    if ids is None or where is None or where.size != len(root):
        return
    with reading(f"{path}, obsmap/{name}", "whole numbers"):
        places = where.ravel().astype(np.int64)
    here = places > 0
    wrong = places[here].max(initial=0) > len(ids) or not np.array_equal(root[here], ids[places[here] - 1])
    if wrong:
        raise UserError(
            f"{path}: obsmap/{name} and the ids in mod/{name}/obs disagree on which cell is which; write it "
            "anew: m = mudata.read(FILE); m.update(); m.write(FILE)"
        )
