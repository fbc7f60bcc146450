"""Find the labels among what a file holds, and bring them to the samples."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cmc.data.formats.arrays import LABELS, Contents, NamedArrays, is_label_name, is_one_hot
from cmc.data.formats.joining import align
from cmc.data.formats.tables import is_missing
from cmc.data.modalities import shape_text
from cmc.errors import UserError

_SHOWN = 8  # names in a message


def find(held: Contents, told: str | None, chosen: Sequence[str]) -> NamedArrays:
    """Labels by the names of their arrays: those that are told, or that bear a name of labels; columns are cut out.

    Raises:
        UserError: a name that is not there; labels that are none.
    """
    names = _told(held, told) if told else _known(held, chosen)
    return {name: _vector(held, name, held.arrays[name]) for name in names}


def _told(held: Contents, told: str) -> list[str]:
    if told in held.arrays:
        return [told]
    if of_tables := [name for name in held.arrays if name.endswith(f":{told}")]:
        return of_tables
    columns = {name: heads.tolist().index(told) for name, heads in held.headings.items() if told in heads.tolist()}
    if not columns and (found := _numbered(held, told)) is not None:
        columns = found
    if not columns:
        every = [*held.arrays, *(name.partition(":")[2] for name in held.arrays if ":" in name)]
        every += [head for heads in held.headings.values() for head in heads.tolist()]
        close = difflib.get_close_matches(told, every, n=1)
        hint = f"; did you mean {close[0]}?" if close else ""
        raise UserError(f"data.labels names {told!r}, which is not in it{hint} (it holds {listed(held.arrays)})")
    for name, column in columns.items():
        held.arrays[f"{name}:{told}"] = held.arrays[name][:, column]
        if name in held.ids:
            held.ids[f"{name}:{told}"] = held.ids[name]
        _cut(held, name, column)
    return [f"{name}:{told}" for name in columns]


def _numbered(held: Contents, told: str) -> dict[str, int] | None:
    """``NAME:3``: the third column of that matrix, and of others the first or the last where it is the same."""
    name, _, number = told.rpartition(":")
    matrix = held.arrays.get(name)
    if matrix is None or matrix.ndim != 2 or not number.isdecimal() or not 0 < int(number) <= matrix.shape[1]:
        return None
    values = matrix[:, int(number) - 1]
    found = {name: int(number) - 1}
    for other, array in held.arrays.items():
        if other != name and array.ndim == 2 and len(array) == len(values):
            ends = (place for place in (array.shape[1] - 1, 0) if np.array_equal(array[:, place], values))
            if (place := next(ends, None)) is not None:
                found[other] = place
    return found


def _cut(held: Contents, name: str, column: int) -> None:
    held.arrays[name] = without(held.arrays[name], [column])
    if name in held.headings:
        held.headings[name] = np.delete(held.headings[name], column)


def without(matrix: NDArray[Any], columns: Sequence[int]) -> NDArray[Any]:
    """A matrix without these columns; one that is mapped stays so where they are at its ends."""
    width = matrix.shape[1]
    kept = [column for column in range(width) if column not in {*columns}]
    if kept and kept == list(range(kept[0], kept[-1] + 1)):
        return matrix[:, kept[0] : kept[-1] + 1]
    return matrix[:, kept]


def _known(held: Contents, chosen: Sequence[str]) -> list[str]:
    names = [name for name in held.arrays if name not in chosen and name not in held.asked]
    if strong := [name for name in LABELS if name in names]:
        return [*strong, *(name for name in names if name.rpartition(":")[2].lower() in LABELS and name not in strong)]
    return [name for name in names if is_label_name(name.rpartition(":")[2])]


def _vector(held: Contents, name: str, array: NDArray[Any]) -> NDArray[Any]:
    if is_one_hot(array) or is_one_hot(array.T):
        axis = 1 if is_one_hot(array) else 0
        held.remarks.append(f"labels: {name!r} is one-hot; class k is its {'column' if axis else 'row'} k")
        return np.asarray(array.argmax(axis))
    if array.size != max(array.shape, default=0) or array.dtype.kind not in "buifUO":
        raise UserError(
            f"{name!r} is {shape_text(array)}, but labels are one whole number a sample; "
            "store class numbers there, or name the modalities in data.features if it is one"
        )
    return array.ravel()


def settle(
    held: Contents, found: NamedArrays, ids: NDArray[np.str_] | None, moved: bool
) -> tuple[NDArray[Any] | None, tuple[str, ...] | None]:
    """One label a sample, and the classes where labels are their names: those of a sample without any are NaN, or -1.

    Args:
        held: where labels have ids, and where remarks go.
        found: see `find`.
        ids: of the samples.
        moved: whether samples are in another order than their rows, or fewer.

    Raises:
        UserError: labels that differ, or that cannot be brought to the samples.
    """
    if not found:
        return None, None
    brought = {name: _brought(held, name, values, ids, moved) for name, values in found.items()}
    merged, *others = brought.values()
    for other in others:
        here, there = ~_missing(merged), ~_missing(other)
        if len(merged) != len(other) or not np.array_equal(merged[here & there], other[here & there]):
            raise UserError(
                f"labels under {' and '.join(map(repr, found))} differ; keep one of them, or name it in data.labels"
            )
        merged = np.where(here, merged, other)
    if merged.dtype.kind not in "US":
        return merged, None
    names, codes = np.unique(merged, return_inverse=True)
    kept = [not is_missing(name) for name in names]
    position = np.where(kept, np.cumsum(kept) - 1, -1)
    return position[codes], tuple(str(name) for name, each in zip(names, kept, strict=True) if each)


def _missing(values: NDArray[Any]) -> NDArray[np.bool_]:
    if values.dtype.kind == "f":
        return np.asarray(np.isnan(values))
    return np.asarray(values == "") if values.dtype.kind == "U" else np.zeros(len(values), dtype=bool)


def _brought(
    held: Contents, name: str, values: NDArray[Any], ids: NDArray[np.str_] | None, moved: bool
) -> NDArray[Any]:
    own = held.ids.get(name)
    if ids is None:
        return values
    if own is None or len(own) != len(values):
        if moved:
            raise UserError(
                f"samples were brought together by id, and {name!r}, the labels, has no ids: which label is whose "
                "cannot be told; give it the column of ids, too, or bring all files into one order"
            )
        return values
    if np.array_equal(own, ids):
        return values
    rows = align(own, ids, name)
    gone = int((rows < 0).sum())
    if gone:
        held.remarks.append(f"labels: {gone} of {len(ids)} samples have none, by id")
    if (np.diff(rows[rows >= 0]) < 0).any():
        held.remarks.append("labels: brought into the order of the samples, by id")
    if not gone:
        return values[rows]
    if values.dtype.kind in "US":
        return np.where(rows < 0, "", values[rows])
    return np.where(rows < 0, np.nan, values[rows].astype(float))


def offered(held: Contents, n_samples: int, used: Sequence[str]) -> tuple[str, ...]:
    """What `data.labels` could name: vectors of one whole number or text a sample that come again, and their values."""
    found: dict[str, int] = {}
    for name, array in held.arrays.items():
        if name in used or array.size != n_samples or max(array.shape, default=0) != n_samples:
            continue
        values = array.ravel()
        if values.dtype.kind == "f" and not np.array_equal(values, np.rint(values)):
            continue
        if values.dtype.kind in "buifU" and 1 < (n := len(np.unique(values))) <= n_samples / 2:
            found.setdefault(name.rpartition(":")[2] if _shared(held, name) else name, n)
    return tuple(f"data.labels={name} ({n} values)" for name, n in [*found.items()][:_SHOWN])


def _shared(held: Contents, name: str) -> bool:
    """Whether a column's bare name says which it is, or is that of the same column of several."""
    bare = name.rpartition(":")[2]
    return ":" in name and bare not in held.arrays


def listed(arrays: NamedArrays) -> str:
    """What there is, with its shapes; not all of very many."""
    told = [f"{name!r} {_what(array)}" for name, array in [*arrays.items()][: 2 * _SHOWN]]
    more = [f"{len(arrays) - len(told)} more"] if len(arrays) > len(told) else []
    return ", ".join([*told, *more]) or "nothing"


def _what(array: NDArray[Any]) -> str:
    return f"{shape_text(array)}, no numbers" if array.dtype.kind in "OV" else shape_text(array)
