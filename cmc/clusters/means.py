"""Clusters of samples that have neither pictures nor texts: their features' means, and a prototype of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

_BLOCK = 8192  # rows
_CELLS = 64  # of a strip; of wider modalities neighbouring columns share one
_TOP = 5  # columns that are named
MOST = 1000  # clusters, beyond which nothing is told


def feature_means(
    features: Mapping[str, NDArray[Any]], cluster: NDArray[np.int64], n_clusters: int, prototypes: Sequence[int]
) -> dict[str, Any]:
    """How the features of each cluster differ from those of all samples, in standard deviations.

    Args:
        features: modality -> N x d; a row of NaN of a sample that lacks the modality, which counts nowhere.
        cluster: N, from 0 to K - 1.
        n_clusters: K.
        prototypes: of each cluster the position of one member, -1 of an empty one.

    Returns:
        Modality -> ``strips`` (K of at most 64 numbers), ``prototypes`` (the same of these members), and ``top``, of
        each cluster five ``[column, deviations, mean]``, the farthest from 0 first.
    """
    return {name: _of_modality(x, cluster, n_clusters, prototypes) for name, x in features.items()}


def _of_modality(
    x: NDArray[Any], cluster: NDArray[np.int64], n_clusters: int, prototypes: Sequence[int]
) -> dict[str, Any]:
    sums, squares = np.zeros((n_clusters, x.shape[1])), np.zeros(x.shape[1])
    there = np.flatnonzero(~np.isnan(x[:, 0]))
    shift = np.asarray(x[there[0]], dtype=np.float64)
    for start in range(0, len(there), _BLOCK):
        rows = there[start : start + _BLOCK]
        block = np.asarray(x[rows], dtype=np.float64) - shift
        np.add.at(sums, cluster[rows], block)
        squares += (block**2).sum(0)
    sizes = np.bincount(cluster[there], minlength=n_clusters)[:, None]
    centre = sums.sum(0) / len(there)
    spread = np.sqrt(np.maximum(squares / len(there) - centre**2, 0))
    spread[spread <= 1e-9 * np.abs(centre + shift)] = np.inf
    means = sums / np.maximum(sizes, 1)
    deviations = np.where(sizes > 0, (means - centre) / spread, 0)
    chosen = np.maximum(np.asarray(prototypes), 0)
    own = np.nan_to_num((np.asarray(x[chosen], dtype=np.float64) - shift - centre) / spread)
    top = np.argsort(-np.abs(deviations), axis=1, kind="stable")[:, :_TOP]
    return {
        "width": x.shape[1],
        "strips": _strips(deviations),
        "prototypes": _strips(own),
        "top": [
            [[j, round(float(deviations[k, j]), 2), float(f"{means[k, j] + shift[j]:.4g}")] for j in row]
            for k, row in enumerate(top.tolist())
        ],
    }


def _strips(rows: NDArray[np.float64]) -> list[list[float]]:
    parts = np.array_split(np.arange(rows.shape[1]), min(_CELLS, rows.shape[1]))
    cells = np.stack([rows[:, part].mean(1) for part in parts], axis=1)
    return [[round(value, 2) for value in row] for row in cells.tolist()]
