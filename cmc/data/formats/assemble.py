"""Tell modalities from labels, and rows from columns, among the arrays of any form."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from cmc.data.formats.arrays import LABELS, SERIES, NamedArrays, is_numeric
from cmc.data.modalities import Modalities, shape_text
from cmc.errors import UserError
from cmc.utils import validate

ORIENTATIONS = ("auto", "rows", "columns")


class Found(NamedTuple):
    """What a file holds, before `Modalities` checks it; its fields are those of `Modalities`."""

    features: NamedArrays
    labels: NDArray[Any] | None
    classes: tuple[str, ...] | None
    source: str


def assemble(
    path: Path,
    arrays: NamedArrays,
    features: Sequence[str] | None = None,
    labels: str | None = None,
    orientation: str = "auto",
) -> Modalities:
    """Make the modalities out of a file's arrays; `cmc.data.formats.read` says by which rules."""
    return Modalities(*sort_out(path, arrays, features, labels, orientation))


def sort_out(
    path: Path,
    arrays: NamedArrays,
    features: Sequence[str] | None = None,
    labels: str | None = None,
    orientation: str = "auto",
) -> Found:
    """Tell modalities, N x d each, and labels among a file's arrays; see `cmc.data.formats.read`."""
    validate.one_of("data.orientation", orientation, ORIENTATIONS)
    chosen = list(map(str, features or ()))
    for key, names in (("data.features", chosen), ("data.labels", [labels] if labels else [])):
        for name in names:
            _check_there(path, arrays, key, name)
    if labels in chosen:
        raise UserError(f"{path}: {labels!r} is named in both data.features and data.labels; take it out of one")
    label_names = [labels] if labels else [name for name in LABELS if name in arrays and name not in chosen]
    codes, classes = _labels(path, {name: arrays[name] for name in label_names})
    rest = {name: array for name, array in arrays.items() if name not in (*LABELS, labels)}
    matrices = {name: arrays[name] for name in chosen} or _features(path, rest)
    transposed = orientation == "columns"
    if orientation == "auto":
        transposed = _samples_are_columns(path, matrices, None if codes is None else len(codes))
    unused = sorted(arrays.keys() - matrices.keys() - {*label_names, "n_views"})
    return Found(_upright(matrices, transposed), codes, classes, _source(path, transposed, unused))


def _check_there(path: Path, arrays: NamedArrays, key: str, name: str) -> None:
    if name not in arrays:
        close = difflib.get_close_matches(name, arrays, n=1)
        hint = f"; did you mean {close[0]}?" if close else ""
        raise UserError(f"{path}: {key} names {name!r}, which is not in it{hint} (it holds {_held(arrays)})")


def _held(arrays: NamedArrays) -> str:
    return ", ".join(f"{name!r} {shape_text(array)}" for name, array in arrays.items()) or "nothing"


def _source(path: Path, transposed: bool, unused: list[str]) -> str:
    notes = ["samples are columns"] if transposed else []
    notes += [f"not used: {', '.join(map(repr, unused))}"] if unused else []
    return f"{path} ({'; '.join(notes)})" if notes else str(path)


def _labels(path: Path, found: NamedArrays) -> tuple[NDArray[Any] | None, tuple[str, ...] | None]:
    """Return one label a sample, and the classes where labels are their names."""
    for name, array in found.items():
        if array.size != max(array.shape, default=0):
            raise UserError(
                f"{path}: {name!r} is {shape_text(array)}, but labels are one whole number a sample; "
                "store class numbers there, or name the modalities in data.features if it is one"
            )
    if not found:
        return None, None
    first, *others = [array.ravel() for array in found.values()]
    if not all(np.array_equal(first, other) for other in others):
        raise UserError(
            f"{path}: labels under {' and '.join(map(repr, found))} differ; keep one of them, or name it in data.labels"
        )
    if first.dtype.kind not in "US":
        return first, None
    names, codes = np.unique(first, return_inverse=True)
    return codes, tuple(map(str, names))


def _features(path: Path, arrays: NamedArrays) -> NamedArrays:
    """Find the modalities: a numbered series, or every matrix."""
    found = sorted((match[1], int(match[2]), name) for name in arrays if (match := SERIES.fullmatch(name)))
    series: dict[str, list[str]] = {}
    for stem, _, name in found:
        series.setdefault(stem, []).append(name)
    longest = max(series.values(), key=len, default=[])
    if "n_views" in arrays and not np.array_equal(arrays["n_views"].ravel(), [len(longest)]):
        held = ", ".join(longest) or "none"
        raise UserError(f"{path}: n_views is {arrays['n_views']}, but of view_0, view_1, ... it holds {held}")
    whole = [names for names in series.values() if len(names) > 1]
    if len(whole) > 1:
        raise UserError(
            f"{path}: modalities under {' and under '.join(', '.join(names) for names in whole)}; "
            "name those to take, such as data.features=[" + ",".join(whole[0]) + "]"
        )
    if whole:
        return {name: arrays[name] for name in whole[0]}
    return _matrices(path, arrays)


def _matrices(path: Path, arrays: NamedArrays) -> NamedArrays:
    matrices = {name: array for name, array in arrays.items() if array.ndim == 2 and is_numeric(array)}
    if not matrices:
        raise UserError(f"{path}: no 2-d array in it (it holds {_held(arrays)}); give every modality as N x d")
    for name, array in matrices.items():
        if 1 in array.shape:  # most likely labels under another name, which must not become a modality unasked
            raise UserError(
                f"{path}: {name!r} is {shape_text(array)}; if it is the labels, say data.labels={name} (or name it "
                "labels), if not, name the modalities in data.features"
            )
    return matrices


def _samples_are_columns(path: Path, features: NamedArrays, n_samples: int | None) -> bool:
    """Decide for all matrices together, by the one length that they share, with the labels where there are any."""
    shapes = [array.shape for array in features.values() if array.ndim == 2]
    rows, columns = ({shape[axis] for shape in shapes} for axis in (0, 1))
    rows_fit, columns_fit = (len(n) == 1 and n_samples in (None, *n) for n in (rows, columns))
    if not rows_fit and not columns_fit:  # refused later: of the two, the side that is nearer to fitting
        return len(columns) == 1 < len(rows) and n_samples not in rows
    if not rows_fit or not columns_fit or len(features) < 2:
        return not rows_fit
    # one shape for all, and no labels or as many as either side: without labels N x d is what people store, but for the
    # cells of ``data``, which are d x N here and N x d there
    if rows == columns or any(name.startswith("data") for name in features):
        raise UserError(
            f"{path}: every modality is {shape_text(next(iter(features.values())))}, so that samples could be rows or "
            "columns; say data.orientation=rows or data.orientation=columns"
        )
    return False


def _upright(features: NamedArrays, transposed: bool) -> NamedArrays:
    """Make every modality N x d; a vector, which must have been asked for by name, is N x 1 in either case."""
    upright = {name: array.T if transposed and array.ndim == 2 else array for name, array in features.items()}
    return {name: array[:, None] if array.ndim == 1 else array for name, array in upright.items()}
