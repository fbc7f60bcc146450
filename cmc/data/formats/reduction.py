"""Truncated SVD of sparse matrices that are too large to be made dense, such as TF-IDF over a large vocabulary.

Fitted on training rows; kept with the checkpoint, so that new samples are reduced as those of the training were.

Source:
    Deerwester et al., Indexing by latent semantic analysis, JASIS 41(6), 1990; ARPACK by way of SciPy.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cmc.data.formats.arrays import NamedArrays
from cmc.data.formats.sparse import Sparse, is_sparse
from cmc.data.modalities import shape_text
from cmc.errors import UserError
from cmc.utils.arrays import spaced

WIDTH = 256  # columns that are left
_FITTED_ON = 2**17  # rows, at most, evenly spaced among those of the training
_TOLERANCE = 1e-3  # of ARPACK, whose square SciPy takes
_BLOCK = 8192  # rows

Components = dict[str, NDArray[np.float32]]  # modality -> WIDTH x d


def fit(features: Mapping[str, Any], rows: NDArray[np.intp] | None) -> tuple[Components, list[str]]:
    """The components of all sparse modalities, and a remark on each.

    Args:
        features: modality -> N x d.
        rows: those of the training; None for all.

    Raises:
        UserError: a number that is not finite; too few rows, or all of them 0.
    """
    components, remarks = {}, []
    for name, array in features.items():
        if is_sparse(array):
            components[name], share = _fit(name, array, rows)
            filled = array.matrix.nnz / array.size
            remarks.append(
                f"{name}: sparse, {shape_text(array)}, {filled:.2g} of it filled: reduced to {WIDTH} columns by "
                f"truncated SVD, fitted on training samples, which keeps {share:.0%} of the squares"
            )
    return components, remarks


def _fit(name: str, array: Sparse, rows: NDArray[np.intp] | None) -> tuple[NDArray[np.float32], float]:
    from scipy.sparse.linalg import svds

    there = np.flatnonzero(~array.gaps)
    there = there if rows is None else np.intersect1d(there, rows)
    seen = there[spaced(len(there), _FITTED_ON)] if len(there) else there
    matrix = array.matrix[seen].astype(np.float32)
    matrix.sum_duplicates()
    squares = float((matrix.data.astype(np.float64) ** 2).sum())
    if not np.isfinite(squares) or not np.isfinite(array.matrix.data).all():
        raise UserError(f"modality {name!r} holds numbers that are not finite, or too large; give others")
    if min(matrix.shape) <= WIDTH or not squares:
        raise UserError(
            f"modality {name!r} is sparse, {len(array)} x {array.shape[1]}, and its {len(seen)} training rows are too "
            f"few to reduce it to {WIDTH} columns, or all 0"
        )
    begin = np.random.default_rng(0).standard_normal(min(matrix.shape)).astype(np.float32)
    _, values, found = svds(matrix, WIDTH, v0=begin, tol=_TOLERANCE, return_singular_vectors="vh")  # type: ignore[arg-type]
    found = found[np.argsort(-values, kind="stable")]
    largest = np.take_along_axis(found, np.abs(found).argmax(1)[:, None], 1)
    found *= np.where(largest < 0, -1, 1)  # a component is free up to its sign
    return np.ascontiguousarray(found, dtype=np.float32), float((values.astype(np.float64) ** 2).sum()) / squares


def reduced(features: NamedArrays, components: Components) -> NamedArrays:
    """The features with those modalities reduced, N x WIDTH, that have components of their width.

    Args:
        features: modality -> N x d, sparse or not.
        components: see `fit`.
    """
    done = dict(features)
    for name, component in components.items():
        array = features.get(name)
        if array is None or array.ndim != 2 or array.shape[1] != component.shape[1]:
            continue
        done[name] = np.empty((len(array), WIDTH), np.float32)
        for start in range(0, len(array), _BLOCK):
            part: Any = array[start : start + _BLOCK]
            block = part.matrix if is_sparse(part) else np.asarray(part)
            done[name][start : start + _BLOCK] = block.astype(np.float32) @ component.T
            if is_sparse(part):
                done[name][start : start + _BLOCK][part.gaps] = np.nan
    return done
