"""Rows that belong together, by their ids."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from cmc.data.formats.sparse import is_sparse
from cmc.errors import UserError

INCOMPLETE = ("refuse", "drop", "use")
Rows = NDArray[np.intp]


class Joined(NamedTuple):
    """Which rows of each part make the samples.

    Attributes:
        rows: part -> its rows in the samples' order, -1 where it lacks one; None where it is as it lies.
        ids: one a sample; None where no part has any.
        remarks: what was done, a phrase each.
        moved: whether the samples are in another order, or fewer, than some part has them.
    """

    rows: dict[str, Rows | None]
    ids: NDArray[np.str_] | None
    remarks: list[str]
    moved: bool


def join(ids: Mapping[str, NDArray[np.str_] | None], incomplete: str = "refuse", how: str = "") -> Joined:
    """Find the samples that all parts have, or any, in the order of the first that has ids, and then of the others.

    Args:
        ids: part -> the ids of its rows; None where it has none, and its rows are as those of the others.
        incomplete: where some ids are not in all parts: ``refuse``, ``drop`` those, or ``use`` them.
        how: how to keep those that are in all, for the message; by default the option of ``data=files``.

    Raises:
        UserError: an id that is blank or twice there; no id in common, or not all of them; ids in different orders
            beside a part without any.
    """
    known = {name: each for name, each in ids.items() if each is not None}
    if not known:
        return Joined(dict.fromkeys(ids), None, [], False)
    (first, begun), *others = known.items()
    places = {name: _places(name, each) for name, each in known.items()}
    without = [name for name, each in ids.items() if each is None]
    if all(np.array_equal(begun, each) for _, each in others):
        taken_so = f"no ids in {', '.join(without)}: rows are taken to be in the order of {first}"
        return Joined(dict.fromkeys(ids), begun, [taken_so] if without else [], False)
    found = {name: _rows(places[name], begun) for name, _ in others}
    there = np.logical_and.reduce([rows >= 0 for rows in found.values()])
    told = ", ".join(f"{name!r} {len(each)}" for name, each in known.items())
    if not there.any():
        shown = ", ".join(f"{name!r} begins with {str(each[0])!r}" for name, each in known.items())
        raise UserError(f"no id is in all of {', '.join(map(repr, known))}: {shown}; give all of them the same ids")
    n_common = int(there.sum())
    fewer = any(n_common < len(each) for each in known.values())
    if fewer and incomplete == "refuse":
        way = how or f"data.incomplete=drop keeps these {n_common}, data.incomplete=use each by what it has"
        raise UserError(f"{n_common} ids are in all of {told} (such as {_lacking(known, places)}); {way}")
    if without:
        raise UserError(
            f"{first!r} and {others[0][0]!r} list their ids in different orders, and {without[0]!r} has no ids: give "
            "it the column of ids, too, or bring all into one order"
        )
    samples = begun[there]
    rows = {first: np.flatnonzero(there)} | {name: each[there] for name, each in found.items()}
    if fewer and incomplete == "use":
        samples = np.array([*dict.fromkeys(each for some in known.values() for each in some.tolist())], dtype=str)
        rows = {name: _rows(places[name], samples) for name in known}
    moved = {name: None if np.array_equal(each, np.arange(len(known[name]))) else each for name, each in rows.items()}
    turned = [name for name, _ in others if (np.diff(rows[name][rows[name] >= 0]) < 0).any()]
    remarks = [f"{name}: its rows are brought into the order of {first}, by id" for name in turned]
    if fewer:
        what = f"{len(samples) - n_common} others lack some" if incomplete == "use" else "the others are left out"
        remarks.append(f"{n_common} ids are in all of {told}; {what}")
    return Joined(moved, samples, remarks, True)


def _lacking(known: Mapping[str, NDArray[np.str_]], places: Mapping[str, Mapping[str, int]]) -> str:
    """An id that one part has and another has not."""
    return next(
        f"{each!r}, which is not in {other!r}"
        for ids in known.values()
        for each in ids.tolist()
        for other in known
        if each not in places[other]
    )


def align(ids: NDArray[np.str_], to: NDArray[np.str_], name: str) -> Rows:
    """For each of ``to`` the row that has its id, -1 where none has.

    Raises:
        UserError: an id that is blank or twice there; none in common.
    """
    rows = _rows(_places(name, ids), to)
    if rows.max(initial=-1) < 0:
        raise UserError(
            f"{name!r} has none of the modalities' ids: it begins with {str(ids[0])!r}, they with {str(to[0])!r}"
        )
    return rows


def _places(name: str, ids: NDArray[np.str_]) -> dict[str, int]:
    listed = ids.tolist()
    places = dict(zip(listed, range(len(listed)), strict=True))
    if "" in places:
        raise UserError(f"{name!r}: row {listed.index('')} has no id; give every sample one (counted from 0)")
    if len(places) < len(listed):
        twice, n = Counter(listed).most_common(1)[0]
        raise UserError(f"{name!r}: the id {twice!r} is there {n} times; give every sample one row")
    return places


def _rows(places: Mapping[str, int], ids: NDArray[np.str_]) -> Rows:
    """The row of each id, -1 of one that is not there."""
    return np.fromiter((places.get(each, -1) for each in ids.tolist()), dtype=np.intp, count=len(ids))


def taken(array: NDArray[Any], rows: Rows | None) -> NDArray[Any]:
    """These rows, of NaN for -1; the array itself where it is as it lies."""
    if rows is None:
        return array
    gone = rows < 0
    return gapped(array[np.where(gone, 0, rows)], gone) if gone.any() else array[rows]


def gapped(array: NDArray[Any], gone: NDArray[np.bool_]) -> NDArray[Any]:
    """A copy with rows of NaN; whole numbers become the shortest floating-point ones that hold them."""
    if is_sparse(array):
        return array.without(gone)  # type: ignore[attr-defined, no-any-return]
    copy = np.array(array, dtype=array.dtype if array.dtype.kind == "f" else np.result_type(array, np.float16))
    copy[gone] = np.nan
    return copy
