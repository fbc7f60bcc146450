"""Masks that say which samples have which modality: found beside the views, checked against them, made into gaps.

A mask is N x V (or V x N) of 0 and 1, a column a modality, or a vector for one modality (``has_text``, ``mask_image``).
Rows under its zeros become rows of NaN, which is how `cmc.data.modalities.Modalities` holds a gap.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cmc.data.formats.arrays import SERIES, Contents, NamedArrays
from cmc.data.formats.joining import align, gapped
from cmc.data.formats.labelling import listed
from cmc.data.formats.sparse import is_sparse
from cmc.data.modalities import shape_text
from cmc.errors import UserError

_SURE = re.compile(r"(masks?|missing|present|presence|indicator|miss|absent)_?\d*", re.IGNORECASE)
_NAMED = re.compile(r"(folds?|w|e)_?\d*", re.IGNORECASE)
_OF_ONE = re.compile(r"(?:has|mask)_(?P<after>.+)|(?P<before>.+)_(?:mask|present|presence)", re.IGNORECASE)
_TURNED = re.compile(r"miss|absent", re.IGNORECASE)  # 1 where a sample lacks it
_VIEWS = 10  # modalities of a sample, of which a mask has a column each

Absent = dict[str, NDArray[np.bool_]]  # modality -> N, which samples lack it


def is_mask(name: str, array: NDArray[Any]) -> bool:
    """Whether a matrix is a mask by its name, its width and, unless the name is sure, its values."""
    if array.ndim != 2 or min(array.shape) > _VIEWS or array.dtype.kind not in "buif":
        return False
    return bool(_SURE.fullmatch(name)) or (bool(_NAMED.fullmatch(name)) and is_binary(array))


def is_binary(array: NDArray[Any]) -> bool:
    """Whether all is 0 or 1."""
    return bool(((array == 0) | (array == 1)).all())


def settle(
    held: Contents, features: NamedArrays, labels: Iterable[str], told: str | bool | None
) -> tuple[NamedArrays, list[str]]:
    """Make gaps of what a mask says is missing.

    Args:
        held: what there is; what is done is remarked there.
        features: N x d each, row by row as the masks.
        labels: names of what is none.
        told: the mask's name; False for none; None to find it.

    Returns:
        The features, with rows of NaN, and the names of the masks.

    Raises:
        UserError: a mask of another shape, or not of 0 and 1; one that nothing in the data agrees with, or several.
    """
    if told is False:
        return features, []
    if isinstance(told, str):
        if told not in held.arrays:
            close = difflib.get_close_matches(told, held.arrays, n=1)
            hint = f"; did you mean {close[0]}?" if close else ""
            raise UserError(
                f"data.mask names {told!r}, which is not in it{hint} (it holds {listed(held.arrays)}); false: no mask"
            )
        return _gapped(held, features, told, _read(held, features, told)), [told]
    found = _found(held, features, {*features, *labels})
    agreed = [name for name, absent in found.items() if _agree(features, absent)]
    if not agreed:
        if doubted := next((name for name in found if _SURE.fullmatch(name) or _NAMED.fullmatch(name)), None):
            n = sum(int(rows.sum()) for rows in found[doubted].values())
            raise UserError(
                f"{doubted!r} is {shape_text(held.arrays[doubted])} of 0 and 1, a mask of what samples have, it seems, "
                f"but where it says that they lack something ({n} times) are numbers: data.mask={doubted} takes these "
                "away, data.mask=false does not use it"
            )
        return features, []
    several = [name for name in agreed if held.arrays[name].ndim == 2]
    if any(not _same(found[several[0]], found[name]) for name in several[1:]):
        raise UserError(f"masks under {', '.join(map(repr, several))} differ; say which, data.mask={several[0]}")
    for name in several[:1] or agreed:
        features = _gapped(held, features, name, found[name])
    return features, agreed


def _found(held: Contents, features: NamedArrays, others: set[str]) -> dict[str, Absent]:
    """What could be masks, by shape, values and names, and says that something is missing."""
    found = {}
    for name, array in held.arrays.items():
        if name in others or array.dtype.kind not in "buif" or not (array.ndim == 2 or _of_one(name, features)):
            continue
        sure = _SURE.fullmatch(name) is not None
        fits = array.ndim == 1 or (len(features) in array.shape and min(array.shape) <= _VIEWS)
        if not sure and not (fits and is_binary(array)):
            continue
        try:
            absent = _read(held, features, name)
        except UserError:
            if sure:
                raise
            continue
        if any(rows.any() for rows in absent.values()):
            found[name] = absent
    return found


def _of_one(name: str, features: NamedArrays) -> str | None:
    """The modality that a vector is the mask of, by its name."""
    match = _OF_ONE.fullmatch(name)
    return next((each for each in features if match and each in (match["after"], match["before"])), None)


def _read(held: Contents, features: NamedArrays, name: str) -> Absent:
    """Which samples lack which modality by this mask.

    Raises:
        UserError: another shape than the data's, or another value than 0 and 1.
    """
    mask = held.arrays[name]
    ways = "data.mask=false does not use it, data.mask=NAME another"
    if mask.dtype.kind not in "buif":
        raise UserError(f"{name!r}, the mask, holds no numbers; {ways}")
    if (one := _of_one(name, features)) is not None and mask.ndim == 1:
        columns = {one: mask}
    else:
        columns = _columns(held, features, name, ways)
    ids, absent = held.ids.get(name), {}
    for modality, values in columns.items():
        own, n = held.ids.get(modality), len(features[modality])
        if ids is not None and own is not None and not np.array_equal(ids, own):
            rows = align(ids, own, name)
            values = np.where(rows < 0, int(not _TURNED.search(name)), values[rows])
        if len(values) != n:
            raise UserError(f"{name!r}, the mask, has {len(values)} rows, {modality!r} has {n}; {ways}")
        wrong = np.flatnonzero((values != 0) & (values != 1))
        if len(wrong):
            raise UserError(
                f"{name!r}, the mask, is {values[wrong[0]]} in row {wrong[0]} (counted from 0), "
                f"and must be 0 or 1; {ways}"
            )
        absent[modality] = (values == 0) != bool(_TURNED.search(name))
    return absent


def _columns(held: Contents, features: NamedArrays, name: str, ways: str) -> NamedArrays:
    """Modality -> its column of a mask: by their headings, their numbers, or in the order in which they lie."""
    mask, n_views = held.arrays[name], len(features)
    longest = max(map(len, features.values()))
    if mask.ndim == 2 and mask.shape[1] != n_views and mask.shape[0] == n_views:
        mask = mask.T
    if mask.ndim != 2 or mask.shape[1] != n_views:
        raise UserError(
            f"{name!r}, the mask, is {shape_text(held.arrays[name])}: of these data it must be "
            f"{longest} x {n_views}, a column for each of {', '.join(features)}; {ways}"
        )
    heads = held.headings.get(name)
    order = [each for each in held.arrays if each in features]
    order += [each for each in features if each not in order]
    if heads is not None and sorted(heads.tolist()) == sorted(features):
        order = heads.tolist()
    elif all(SERIES.fullmatch(each) for each in order):
        order.sort(key=lambda each: int(re.findall(r"\d+", each)[-1]))
    return {modality: mask[:, column] for column, modality in enumerate(order)}


def _agree(features: NamedArrays, absent: Absent) -> bool:
    """Whether all that is said to be missing is zeros or NaN."""
    for modality, rows in absent.items():
        matrix: Any = features[modality]
        if rows.any() and is_sparse(matrix):
            if matrix.matrix[rows].count_nonzero():
                return False
        elif rows.any():
            matrix = np.asarray(matrix[rows])
            gaps = np.isnan(matrix) if matrix.dtype.kind == "f" else np.zeros(matrix.shape, bool)
            if not ((matrix == 0) | gaps).all():
                return False
    return True


def _same(one: Absent, other: Absent) -> bool:
    return all(np.array_equal(rows, other[name]) for name, rows in one.items())


def _gapped(held: Contents, features: NamedArrays, name: str, absent: Absent) -> NamedArrays:
    """The features with rows of NaN where a modality is missing; those that lack none stay as they lie."""
    done = dict(features)
    for modality, rows in absent.items():
        array: Any = features[modality]
        if not rows.any() or (not is_sparse(array) and array.dtype.kind == "f" and np.isnan(array[rows]).all()):
            continue
        done[modality] = gapped(array, rows)
    counts = ", ".join(f"{modality} {int(rows.sum())}" for modality, rows in absent.items() if rows.any())
    n = len(next(iter(absent.values())))
    held.remarks.append(f"{name} says which samples have what; of {n} samples lack: {counts or 'none anything'}")
    return done
