"""Where samples lie in the embedding: how typical of their cluster they are, and what lies next to them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

_BLOCK = 8192  # rows


def typicality(embeddings: NDArray[np.float32], cluster: NDArray[np.int64], n_clusters: int) -> NDArray[np.float32]:
    """The cosine of each sample with the centre of its cluster, the mean of its samples' directions.

    Args:
        embeddings: N x D, which may be mapped into memory.
        cluster: N, from 0 to K - 1.
        n_clusters: K.
    """
    centres = np.zeros((n_clusters, embeddings.shape[1]))
    for start, rows in _unit(embeddings):
        np.add.at(centres, cluster[start : start + len(rows)], rows)
    centres = _normed(centres)
    found = np.empty(len(embeddings), dtype=np.float32)
    for start, rows in _unit(embeddings):
        found[start : start + len(rows)] = (rows * centres[cluster[start : start + len(rows)]]).sum(1)
    return found


def neighbours(embeddings: NDArray[np.float32], n_neighbours: int = 5) -> NDArray[np.int64]:
    """The positions of each sample's nearest others by the cosine, nearest first: N x at most ``n_neighbours``."""
    from sklearn.neighbors import NearestNeighbors

    n = len(embeddings)
    unit = np.concatenate([rows for _, rows in _unit(embeddings)]).astype(np.float32)
    wanted = min(n_neighbours + 1, n)
    found = (
        NearestNeighbors(n_neighbors=wanted, algorithm="brute").fit(unit).kneighbors(return_distance=True, X=unit)[1]
    )
    itself = found == np.arange(n)[:, None]
    itself[~itself.any(1), -1] = True  # of samples that lie in one place any may be found for itself
    return np.asarray(found[~itself].reshape(n, wanted - 1), dtype=np.int64)


def _unit(embeddings: NDArray[np.float32]) -> Iterator[tuple[int, NDArray[np.float64]]]:
    """Blocks of rows of length 1, with the position of the first; a row of zeros stays so."""
    for start in range(0, len(embeddings), _BLOCK):
        yield start, _normed(np.asarray(embeddings[start : start + _BLOCK], dtype=np.float64))


def _normed(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / np.where(lengths > 0, lengths, 1))
