"""AnnData and MuData files, written by hand with h5py in the encodings of several versions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray
from scipy import sparse

TEXT = h5py.string_dtype()


def mark(item: Any, kind: str, version: str) -> Any:
    item.attrs["encoding-type"], item.attrs["encoding-version"] = kind, version
    return item


def matrix(group: h5py.Group, name: str, x: Any, old: bool = False) -> None:
    if not sparse.issparse(x):
        dataset = group.create_dataset(name, data=x)
        if not old:
            mark(dataset, "array", "0.2.0")
        return
    held = group.create_group(name)
    for part in ("data", "indices", "indptr"):
        held.create_dataset(part, data=getattr(x, part))
    if old:
        held.attrs["h5sparse_format"], held.attrs["h5sparse_shape"] = x.format, x.shape
    else:
        mark(held, f"{x.format}_matrix", "0.1.0").attrs["shape"] = x.shape


def frame(group: h5py.Group, ids: list[str], columns: dict[str, Any], version: str = "0.2.0") -> None:
    """``obs``: categories in a group of their own (0.2.0), by reference (0.1.0), or in one table of records (old)."""
    if version == "old":
        kinds = [("index", f"S{max(map(len, ids))}"), *((name, "i1") for name in columns)]
        coded = {name: np.unique(values, return_inverse=True) for name, values in columns.items()}
        records = np.array([*zip(np.array(ids, "S"), *(code for _, code in coded.values()), strict=True)], dtype=kinds)
        group.create_dataset("obs", data=records)
        uns = group.require_group("uns")
        for name, (values, _) in coded.items():
            uns.create_dataset(f"{name}_categories", data=np.array(values, "S"))
        return
    obs = mark(group.create_group("obs"), "dataframe", version)
    obs.attrs["_index"], obs.attrs["column-order"] = "_index", list(columns)
    obs.create_dataset("_index", data=ids, dtype=TEXT)
    for name, values in columns.items():
        if values.dtype.kind not in "US":
            obs.create_dataset(name, data=values)
            continue
        categories, codes = np.unique(values, return_inverse=True)
        if version == "0.1.0":
            named = obs.require_group("__categories").create_dataset(name, data=categories.tolist(), dtype=TEXT)
            obs.create_dataset(name, data=codes.astype(np.int8)).attrs["categories"] = named.ref
        else:
            held = mark(obs.create_group(name), "categorical", "0.2.0")
            held.create_dataset("categories", data=categories.tolist(), dtype=TEXT)
            held.create_dataset("codes", data=codes.astype(np.int8))


def annotated(
    group: h5py.Group, x: Any, ids: list[str], columns: dict[str, Any], version: str = "0.2.0", **obsm: NDArray[Any]
) -> None:
    """One AnnData, with ``raw`` and ``layers``."""
    if version != "old":
        mark(group, "anndata", "0.1.0")
    matrix(group, "X", x, version == "old")
    frame(group, ids, columns, version)
    group.create_group("var").create_dataset("_index", data=[f"g{i}" for i in range(x.shape[1])], dtype=TEXT)
    for name, values in obsm.items():
        matrix(group.require_group("obsm"), name, values)
    matrix(group.create_group("raw"), "X", np.zeros((x.shape[0], 2)))
    matrix(group.create_group("layers"), "counts", np.zeros(x.shape))


def h5ad(path: Path, x: Any, ids: list[str], columns: dict[str, Any], version: str = "0.2.0", **obsm: Any) -> Path:
    with h5py.File(path, "w") as file:
        annotated(file, x, ids, columns, version, **obsm)
    return path


def h5mu(path: Path, version: str = "0.2.0", **parts: tuple[Any, list[str], dict[str, Any]]) -> Path:
    """Modalities, the ids of all cells in ``obs``, and ``obsmap``, as MuData writes them."""
    every = [*dict.fromkeys(each for _, ids, _ in parts.values() for each in ids)]
    with h5py.File(path, "w") as file:
        mark(file, "MuData", "0.1.0").attrs["axis"] = 0
        mod = file.create_group("mod")
        mod.attrs["mod-order"] = list(parts)
        for name, (x, ids, columns) in parts.items():
            annotated(mod.create_group(name), x, ids, columns, version)
            place = {each: i + 1 for i, each in enumerate(ids)}
            where = np.array([place.get(each, 0) for each in every], dtype=np.uint32)
            file.require_group("obsmap").create_dataset(name, data=where)
            file.require_group("obsm").create_dataset(name, data=where[:, None] > 0)
        frame(file, every, {}, version)
    return path
