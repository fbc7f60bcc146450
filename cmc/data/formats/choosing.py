"""Tell which of a file's arrays are its modalities, and what looks like one and is none."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cmc.data.formats.arrays import (
    SERIES,
    Contents,
    NamedArrays,
    counts_up,
    is_label_name,
    is_numeric,
    is_one_hot,
)
from cmc.data.formats.labelling import listed, without
from cmc.data.formats.masks import is_binary, is_mask
from cmc.data.formats.sparse import is_sparse
from cmc.data.modalities import shape_text
from cmc.errors import UserError

_SPARSE = {"data", "indices", "indptr"}


def choose(held: Contents, labels: Sequence[str], n_labels: int | None, mask: str | bool | None = None) -> NamedArrays:
    """The modalities: a numbered series, or every matrix, that is neither labels nor in doubt.

    Args:
        held: what there is.
        labels: names that are labels.
        n_labels: how many labels there are; None without.
        mask: the name of what says what samples have.

    Raises:
        UserError: there is none; a matrix that is in doubt.
    """
    out = {*labels, *held.asked, mask}
    arrays = {n: a for n, a in held.arrays.items() if n not in out and not _named(n)}
    arrays = _flattened(held, arrays, n_labels)
    chosen = _series(held, arrays) or _matrices(held, arrays, n_labels)
    if len(chosen) == 1 and held.asked:
        (only,) = chosen
        more = next(
            (name for name in held.asked if not name.rpartition(":")[2].startswith("X_")), next(iter(held.asked))
        )
        raise UserError(
            f"one modality, {only!r}; obsm holds {', '.join(map(repr, held.asked))}: if one of these is another, "
            f"say so, data.features=[{only},{more}]"
        )
    return chosen


def _named(name: str) -> bool:
    return is_label_name(name) or is_label_name(name.rpartition(":")[2])


def _series(held: Contents, arrays: NamedArrays) -> NamedArrays:
    found = sorted((match[1], int(match[2]), name) for name in arrays if (match := SERIES.fullmatch(name)))
    series: dict[str, list[str]] = {}
    for stem, _, name in found:
        series.setdefault(stem, []).append(name)
    longest = max(series.values(), key=len, default=[])
    if "n_views" in arrays and not np.array_equal(arrays["n_views"].ravel(), [len(longest)]):
        there = ", ".join(longest) or "none"
        raise UserError(f"n_views is {arrays['n_views']}, but of view_0, view_1, ... it holds {there}")
    whole = [names for names in series.values() if len(names) > 1]
    if len(whole) > 1:
        raise UserError(
            f"modalities under {' and under '.join(', '.join(names) for names in whole)}; "
            "name those to take, such as data.features=[" + ",".join(whole[0]) + "]"
        )
    if not whole:
        return {}
    chosen = {name: arrays[name] for name in whole[0]}
    for name, array in chosen.items():
        if is_one_hot(array):
            raise _one_hot(name, array, list(chosen))
    return chosen


def _matrices(held: Contents, arrays: NamedArrays, n_labels: int | None) -> NamedArrays:
    matrices = {name: array for name, array in arrays.items() if array.ndim == 2 and is_numeric(array)}
    if {*arrays} >= _SPARSE and len(matrices) < 2:
        raise UserError(
            "'data', 'indices' and 'indptr' are the parts of a sparse matrix; save the matrix: numpy.savez('x.npz', "
            "text=scipy.sparse.csr_array((data, indices, indptr)).toarray(), image=...)"
        )
    if not matrices:
        raise UserError(f"no 2-d array in it (it holds {listed(held.arrays)}); give every modality as N x d")
    matrices = _without_masks(matrices)
    for name, array in matrices.items():
        if 1 in array.shape:  # most likely labels under another name, which must not become a modality unasked
            raise UserError(
                f"{name!r} is {shape_text(array)}; if it is the labels, say data.labels={name} (or name it "
                "labels), if not, name the modalities in data.features"
            )
    return matrices


def _without_masks(matrices: NamedArrays) -> NamedArrays:
    """Matrices without those that say of each sample which of the others it has."""
    views = {name: array for name, array in matrices.items() if not is_mask(name, array)}
    for name, array in matrices.items():
        if name in views or (len(views) > 1 and len(views) in array.shape):
            continue
        if is_binary(array):
            raise UserError(
                f"{name!r} is {shape_text(array)} of 0 and 1, which says of each sample what it has: no modality; "
                f"name the modalities, data.features=[{','.join(views or ['NAME', 'NAME'])}]"
            )
        views[name] = array
    return {name: array for name, array in matrices.items() if name in views}


def doubt_one_hot(features: NamedArrays, labels: NDArray[Any] | None) -> None:
    """Ask about a matrix whose rows hold a single 1, unless the labels are known to be something else.

    Raises:
        UserError: it may be the labels.
    """
    for name, array in features.items():
        if not is_one_hot(array):
            continue
        codes = array.argmax(1)
        if labels is None or len(labels) != len(codes) or _tells(codes, labels) or _tells(labels, codes):
            raise _one_hot(name, array, list(features))


def _tells(one: NDArray[Any], other: NDArray[Any]) -> bool:
    """Whether a value of one goes with a single value of the other."""
    pairs = np.unique(np.stack([np.unique(x, return_inverse=True)[1] for x in (one, other)]), axis=1)
    return bool(len(np.unique(pairs[0])) == pairs.shape[1])


def _one_hot(name: str, array: NDArray[Any], names: Sequence[str]) -> UserError:
    return UserError(
        f"{name!r} is {shape_text(array)} with a single 1 in each row, as labels are: if it is the labels, say "
        f"data.labels={name}; if a modality, data.features=[{','.join(names)}]"
    )


def _flattened(held: Contents, arrays: NamedArrays, n_labels: int | None) -> NamedArrays:
    """Pictures, N x H x W or N x H x W x C, as vectors, where they have as many samples as all else."""
    flat = dict(arrays)
    pictures = {name: array for name, array in arrays.items() if array.ndim in (3, 4) and is_numeric(array)}
    lengths = [len(array) for array in arrays.values() if array.ndim > 1 and is_numeric(array)]
    n = lengths[0] if n_labels is None and len(lengths) > 1 and len({*lengths}) == 1 else n_labels
    for name, array in pictures.items():
        if array.ndim == 3 and array.shape[0] == array.shape[1] and _is_symmetric(array):
            raise UserError(
                f"{name!r} is {shape_text(array)}, kernels of {array.shape[0]} samples, it seems, and no features: "
                "methods need N x d; save what the kernels were computed from, or in Python e.g. "
                f"sklearn.decomposition.KernelPCA(50, kernel='precomputed').fit_transform(K[:, :, i]) for each"
            )
        if 0 in array.shape or n not in (array.shape[0], array.shape[-1]):
            continue
        if array.shape[0] != n:
            array = np.moveaxis(array, -1, 0)
        flat[name] = array.reshape(len(array), -1)
        held.shapes[name] = array.shape[1:]
        held.remarks.append(
            f"{name}: {shape_text(array)} is flattened to {shape_text(flat[name])}; as pictures it is seen with "
            f"method.encoder={{{name}: conv}}"
        )
    return flat


def _is_symmetric(kernels: NDArray[Any]) -> bool:
    return all(np.allclose(kernels[..., i], kernels[..., i].T) for i in range(kernels.shape[-1]))


def doubt_triplets(features: NamedArrays, n_labels: int | None) -> None:
    """Refuse (row, column, value) lists of sparse matrices.

    Raises:
        UserError: these are some.
    """
    rows = {len(array) for array in features.values()}
    if (len(rows) == 1 and n_labels in (None, *rows)) or not all(_is_triplets(array) for array in features.values()):
        return
    name, array = next(iter(features.items()))
    raise UserError(
        f"{name!r} is {shape_text(array)} of row, column and value: a sparse matrix as triplets, it seems; save it "
        f"itself: in MATLAB {name} = full(spconvert({name})), in Python t = {name}; "
        "scipy.sparse.coo_array((t[:, 2], (t[:, 0] - 1, t[:, 1] - 1))).toarray()"
    )


def _is_triplets(array: NDArray[Any]) -> bool:
    if array.ndim != 2 or array.shape[1] != 3 or len(array) < 2:
        return False
    places = array[:, :2]
    return bool((places == np.rint(places)).all() and (places >= 0).all()) and len(np.unique(places, axis=0)) == len(
        array
    )


def without_counts(held: Contents, features: NamedArrays) -> NamedArrays:
    """Modalities without the columns that only count the rows, each of which is remarked."""
    cleaned = dict(features)
    for name, array in features.items():
        if array.ndim != 2 or array.shape[1] < 2 or len(array) < 4 or array.dtype.kind not in "uif":
            continue
        if is_sparse(array):
            continue
        begun = np.asarray(array[:4]).astype(float, copy=False)
        with np.errstate(invalid="ignore"):
            likely = np.flatnonzero((np.diff(begun, axis=0) == 1).all(0))
        if columns := [int(column) for column in likely if counts_up(np.asarray(array[:, column]))]:
            heads = held.headings.get(name)
            told = ", ".join(str(c + 1) if heads is None else f"{heads[c] or c + 1}" for c in columns)
            held.remarks.append(f"{name}: column {told} counts the rows, and is left out")
            cleaned[name] = without(array, columns)
    return cleaned


def doubt_shared(held: Contents, features: NamedArrays, labels: NDArray[Any] | None) -> None:
    """Ask about the same whole numbers at the end, or at the start, of every modality, as a class is put beside each.

    Raises:
        UserError: there are such.
    """
    arrays = [a for a in features.values() if a.ndim == 2 and a.shape[1] > 1 and not is_sparse(a)]
    if len(features) < 2 or len(arrays) < len(features) or len({len(array) for array in arrays}) > 1:
        return
    if any(array.shape == arrays[0].shape and np.array_equal(array, arrays[0]) for array in arrays[1:]):
        return
    for place, side in ((-1, "last"), (0, "first")):
        first, *others = (np.asarray(array[:, place]) for array in arrays)
        n_values = len(np.unique(first))
        if not (np.array_equal(first, np.rint(first)) and 1 < n_values <= len(first) / 2):
            continue
        if all(np.array_equal(first, other) for other in others) and _significant(first, n_values):
            name = next(iter(features))
            number = arrays[0].shape[1] if place else 1
            raise UserError(
                f"the {side} column is the same {n_values} whole numbers in {', '.join(map(repr, features))}: if "
                f"it is the labels, say data.labels={name}:{number}; if a feature, data.features=[{','.join(features)}]"
            )


def _significant(values: NDArray[Any], n_values: int) -> bool:
    """Whether a column varies enough not to be the same by chance, as one that is almost all 0 may."""
    _, counts = np.unique(values, return_counts=True)
    return n_values > 1 and len(values) - counts.max() >= min(10, len(values) / 4)
