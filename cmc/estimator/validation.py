"""The forms in which `cmc.CrossModalClustering` takes X: several matrices, or one whose columns are split."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import issparse
from sklearn.utils.validation import check_array, validate_data

from cmc.data.formats.arrays import NamedArrays, as_ids, dense
from cmc.data.formats.joining import align, join, taken
from cmc.errors import UserError


class Given(NamedTuple):
    """X, checked.

    Attributes:
        features: modality -> N x d; one that is missing is left out.
        ids: of the samples, where X has any: the index of data frames, ``obs_names`` of AnnData.
        remarks: what was done to bring the rows into one order.
    """

    features: NamedArrays
    ids: NDArray[np.str_] | None
    remarks: list[str]


def to_fit(estimator: Any, X: Any) -> Given:
    """The modalities of X by name, for an estimator that is to be fitted; sets its ``n_features_in_``.

    Raises:
        ValueError, UserError: X is no such thing.
    """
    if (several := _several(X)) is None:
        ids = _index(X)
        X = validate_data(estimator, _plain(X), ensure_min_samples=2, ensure_min_features=2)
        widths = _widths(estimator.widths, X.shape[1])
        return Given(_cut(X, [f"view_{i}" for i in range(len(widths))], widths), ids, [])
    features = {
        name: check_array(_plain(x), input_name=name, ensure_all_finite="allow-nan") for name, x in several.items()
    }
    estimator.n_features_in_ = sum(x.shape[1] for x in features.values())
    return _joined(features, several)


def to_assign(estimator: Any, X: Any, dims: Mapping[str, int]) -> Given:
    """The modalities of X by name, for a fitted estimator; those that are missing are left out.

    Raises:
        ValueError, UserError: X is no such thing.
    """
    if (several := _several(X)) is None:
        ids = _index(X)
        X = validate_data(estimator, _plain(X), reset=False)
        return Given(_cut(X, list(dims), list(dims.values())), ids, [])
    if not _is_named(X):
        if len(several) != len(dims):
            raise UserError(
                f"X has {len(several)} modalities, the model {len(dims)}: give None for one that is missing"
            )
        several = dict(zip(dims, several.values(), strict=True))
    if unknown := [name for name in several if name not in dims]:
        raise UserError(f"X: no modality {unknown[0]!r}; the model knows {', '.join(map(repr, dims))}")
    there = {name: x for name, x in several.items() if x is not None}
    features = {
        name: check_array(_plain(x), input_name=name, ensure_all_finite=False, dtype="numeric")
        for name, x in there.items()
    }
    return _joined(features, there)


def aligned(y: Any, ids: NDArray[np.str_] | None) -> NDArray[Any]:
    """Labels in the order of the samples: by the index, where a series has one and the samples have ids.

    Raises:
        UserError: the index lacks a sample.
    """
    own = _index(y)
    if own is None or ids is None or np.array_equal(own, ids):
        return np.asarray(y)
    rows = align(own, ids, "y")
    if (rows < 0).any():
        raise UserError(
            f"y: has no label for {str(ids[int(np.argmax(rows < 0))])!r}, which X has; give one for each sample"
        )
    return np.asarray(y)[rows]


def _joined(features: NamedArrays, given: Mapping[str, Any]) -> Given:
    """Rows by their ids, where they have any; a plain count of rows is none, unless others are the same numbers."""
    ids = {name: _index(given[name]) for name in features}
    known = {each for some in ids.values() if some is not None for each in some.tolist()}
    for name, some in ids.items():
        if some is None and known and (counted := _index(given[name], plain=True)) is not None:
            ids[name] = None if known.isdisjoint(counted.tolist()) else counted
    joined = join(ids, how="keep those: ids = A.index.intersection(B.index); fit([A.loc[ids], B.loc[ids]])")
    return Given({name: taken(x, joined.rows[name]) for name, x in features.items()}, joined.ids, joined.remarks)


def _index(x: Any, plain: bool = False) -> NDArray[np.str_] | None:
    """The ids of a data frame's, a series' or an AnnData's rows; None of anything else.

    Args:
        x: it.
        plain: also where they do no more than count the rows from 0.
    """
    names = getattr(x, "obs_names", None)
    if names is None and hasattr(x, "iloc"):
        names = x.index
    if names is None:
        return None
    ids = as_ids(list(names))
    return None if not plain and np.array_equal(ids, np.arange(len(ids)).astype(str)) else ids


def _several(X: Any) -> dict[str, Any] | None:
    """Matrices by name; None where X is one matrix."""
    modalities = getattr(X, "mod", None)  # of MuData
    if isinstance(modalities, Mapping):
        return {str(name): x for name, x in modalities.items()}
    if isinstance(X, Mapping) and not issparse(X):  # a sparse matrix may be a mapping, too
        return {str(name): x for name, x in X.items()}
    if isinstance(X, list | tuple) and any(_n_sides(x) == 2 for x in X):
        return {f"view_{i}": x for i, x in enumerate(X)}
    return None


def _is_named(X: Any) -> bool:
    return isinstance(X, Mapping) or isinstance(getattr(X, "mod", None), Mapping)


def _n_sides(x: Any) -> int:
    """2 of a matrix."""
    if _is_annotated(x):
        return 2
    return int(getattr(x, "ndim", np.ndim(x) if x is not None else 0))


def _is_annotated(x: Any) -> bool:
    """Whether it is an AnnData, or what has its parts."""
    return hasattr(x, "X") and hasattr(x, "obs_names")


def _plain(x: Any) -> Any:
    """A tensor as an array, an AnnData as its matrix, which may be sparse; anything else as it is."""
    if _is_annotated(x):
        return dense(x.X)
    return x.detach().cpu().numpy() if hasattr(x, "detach") else x


def _widths(given: Sequence[int] | None, n_features: int) -> list[int]:
    """How the columns of one matrix split; -1 is the rest."""
    if given is None:
        raise UserError(
            "X is one matrix; give widths=[...], how its columns split into modalities, or a list of matrices"
        )
    widths = [int(width) for width in given]
    if widths.count(-1) == 1:
        widths[widths.index(-1)] = n_features - sum(widths) - 1
    if len(widths) < 2 or min(widths) < 1 or sum(widths) != n_features:
        raise UserError(f"widths: {list(given)} given, for {n_features} columns; give two or more that add up to that")
    return widths


def _cut(X: NDArray[Any], names: Sequence[str], widths: Sequence[int]) -> NamedArrays:
    parts = np.split(X, np.cumsum(widths)[:-1], axis=1)
    return dict(zip(names, parts, strict=True))
