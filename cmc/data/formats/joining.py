"""Rows that belong together, by their ids."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from cmc.errors import UserError

INCOMPLETE = ("refuse", "drop")
Rows = NDArray[np.intp]


class Joined(NamedTuple):
    """Which rows of each part make the samples.

    Attributes:
        rows: part -> its rows in the samples' order; None where it is as it lies.
        ids: one a sample; None where no part has any.
        remarks: what was done, a phrase each.
        moved: whether the samples are in another order, or fewer, than some part has them.
    """

    rows: dict[str, Rows | None]
    ids: NDArray[np.str_] | None
    remarks: list[str]
    moved: bool


def join(ids: Mapping[str, NDArray[np.str_] | None], incomplete: str = "refuse", how: str = "") -> Joined:
    """Find the samples that all parts have, in the order of the first that has ids.

    Args:
        ids: part -> the ids of its rows; None where it has none, and its rows are as those of the others.
        incomplete: where some ids are not in all parts: ``refuse``, or ``drop`` those.
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
    if all(np.array_equal(begun, each) for _, each in others):
        return Joined(dict.fromkeys(ids), begun, [], False)
    common = set(places[first]).intersection(*(places[name] for name, _ in others))
    told = ", ".join(f"{name!r} {len(each)}" for name, each in known.items())
    if not common:
        shown = ", ".join(f"{name!r} begins with {str(each[0])!r}" for name, each in known.items())
        raise UserError(f"no id is in all of {', '.join(map(repr, known))}: {shown}; give all of them the same ids")
    fewer = any(len(common) < len(each) for each in known.values())
    if fewer and incomplete == "refuse":
        lacking, gone = next(
            (name, each)
            for name in known
            for each in [next((x for other in known.values() for x in other.tolist() if x not in places[name]), None)]
            if each is not None
        )
        way = how or f"data.incomplete=drop keeps these {len(common)}"
        raise UserError(
            f"{len(common)} ids are in all of {told} (such as {gone!r}, which is not in {lacking!r}); {way}"
        )
    if without := [name for name, each in ids.items() if each is None]:
        raise UserError(
            f"{first!r} and {others[0][0]!r} list their ids in different orders, and {without[0]!r} has no ids: give "
            "it the column of ids, too, or bring all into one order"
        )
    kept = np.array([each for each in begun.tolist() if each in common], dtype=str)
    rows = {name: _rows(places[name], kept, len(each)) for name, each in known.items()}
    remarks = [
        f"{name}: its rows are brought into the order of {first}, by id" for name, _ in others if _turned(rows[name])
    ]
    if fewer:
        remarks.append(f"{len(kept)} ids are in all of {told}; the others are left out")
    return Joined(rows, kept, remarks, True)


def align(ids: NDArray[np.str_], to: NDArray[np.str_], name: str) -> Rows:
    """For each of ``to`` the row that has its id, -1 where none has.

    Raises:
        UserError: an id that is blank or twice there; none in common.
    """
    rows = _rows(_places(name, ids), to, len(ids))
    if (-1 if rows is None else rows.max(initial=-1)) < 0 and rows is not None:
        raise UserError(
            f"{name!r} has none of the modalities' ids: it begins with {str(ids[0])!r}, they with {str(to[0])!r}"
        )
    return np.arange(len(ids)) if rows is None else rows


def _places(name: str, ids: NDArray[np.str_]) -> dict[str, int]:
    listed = ids.tolist()
    places = dict(zip(listed, range(len(listed)), strict=True))
    if "" in places:
        raise UserError(f"{name!r}: row {listed.index('')} has no id; give every sample one (counted from 0)")
    if len(places) < len(listed):
        twice, n = Counter(listed).most_common(1)[0]
        raise UserError(f"{name!r}: the id {twice!r} is there {n} times; give every sample one row")
    return places


def _rows(places: Mapping[str, int], kept: NDArray[np.str_], n: int) -> Rows | None:
    rows = np.array([places.get(each, -1) for each in kept.tolist()], dtype=np.intp)
    return None if np.array_equal(rows, np.arange(n)) else rows


def _turned(rows: Rows | None) -> bool:
    """Whether rows change their order."""
    return rows is not None and bool((np.diff(rows) < 0).any())


def taken(array: NDArray[Any], rows: Rows | None) -> NDArray[Any]:
    """These rows; the array itself where it is as it lies."""
    return array if rows is None else array[rows]
