"""The forms in which `cmc.CrossModalClustering` takes X: several matrices, or one whose columns are split."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import issparse
from sklearn.utils.validation import check_array, validate_data

from cmc.data.formats.arrays import NamedArrays
from cmc.errors import UserError


def to_fit(estimator: Any, X: Any) -> NamedArrays:
    """The modalities of X by name, for an estimator that is to be fitted; sets its ``n_features_in_``.

    Raises:
        ValueError, UserError: X is no such thing.
    """
    if (several := _several(X)) is None:
        X = validate_data(estimator, _plain(X), ensure_min_samples=2, ensure_min_features=2)
        widths = _widths(estimator.widths, X.shape[1])
        return _cut(X, [f"view_{i}" for i in range(len(widths))], widths)
    features = {name: check_array(_plain(x), input_name=name) for name, x in several.items()}
    estimator.n_features_in_ = sum(x.shape[1] for x in features.values())
    return features


def to_assign(estimator: Any, X: Any, dims: Mapping[str, int]) -> NamedArrays:
    """The modalities of X by name, for a fitted estimator; those that are missing are left out.

    Raises:
        ValueError, UserError: X is no such thing.
    """
    if (several := _several(X)) is None:
        X = validate_data(estimator, _plain(X), reset=False)
        return _cut(X, list(dims), list(dims.values()))
    if not isinstance(X, Mapping):
        if len(X) != len(dims):
            raise UserError(f"X has {len(X)} modalities, the model {len(dims)}: give None for one that is missing")
        several = dict(zip(dims, X, strict=True))
    if unknown := [name for name in several if name not in dims]:
        raise UserError(f"X: no modality {unknown[0]!r}; the model knows {', '.join(map(repr, dims))}")
    return {
        name: check_array(_plain(x), input_name=name, ensure_all_finite=False, dtype="numeric")
        for name, x in several.items()
        if x is not None
    }


def _several(X: Any) -> dict[str, Any] | None:
    """Matrices by name; None where X is one matrix."""
    if isinstance(X, Mapping) and not issparse(X):  # a sparse matrix may be a mapping, too
        return {str(name): x for name, x in X.items()}
    if isinstance(X, list | tuple) and any(getattr(x, "ndim", np.ndim(x) if x is not None else 0) == 2 for x in X):
        return {f"view_{i}": x for i, x in enumerate(X)}
    return None


def _plain(x: Any) -> Any:
    """A tensor as an array; anything else as it is."""
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
