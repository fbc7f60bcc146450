"""The words that tell a cluster's texts from those of the others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

_WORD = r"(?u)\b[^\W\d_]{2,}\b"
_LEAST = 2  # texts of a cluster that a word must stand in, where the cluster has as many


class Term(NamedTuple):
    """A word of a cluster, and how many of its texts it stands in."""

    word: str
    texts: int


def cluster_terms(
    captions: Sequence[str], cluster: NDArray[np.int64], n_clusters: int, n_terms: int = 10
) -> list[list[Term]]:
    """The words of each cluster by class-based TF-IDF, best first.

    A cluster is one long text: the frequency of a word in it, counted once a caption, times log(1 + A / f), where f is
    the word's frequency in all captions, and A the mean number of words of a cluster. Words are of two letters or more,
    without English ones that tell nothing; a word of a single caption does not count where a cluster has several.

    Args:
        captions: N texts.
        cluster: N, from 0 to K - 1.
        n_clusters: K.
        n_terms: words of a cluster, at most.

    Returns:
        K lists; empty where no caption of a cluster has a word.

    Source:
        M. Grootendorst, BERTopic: Neural topic modeling with a class-based TF-IDF procedure, arXiv 2203.05794.
    """
    from sklearn.feature_extraction.text import CountVectorizer

    vectorizer = CountVectorizer(token_pattern=_WORD, stop_words="english", binary=True, dtype=np.int64)
    try:
        counts = vectorizer.fit_transform(captions)
    except ValueError:  # no caption has a word
        return [[] for _ in range(n_clusters)]
    words = vectorizer.get_feature_names_out()
    of_cluster = _summed(counts, cluster, n_clusters)
    total = np.asarray(of_cluster.sum(0)).ravel()
    rare = np.log1p(total.sum() / n_clusters / total)
    sizes = np.bincount(cluster, minlength=n_clusters)
    return [_best(of_cluster, k, words, rare, min(_LEAST, int(sizes[k])), n_terms) for k in range(n_clusters)]


def _summed(counts: Any, cluster: NDArray[np.int64], n_clusters: int) -> Any:
    """K x words: how many captions of a cluster hold a word."""
    from scipy.sparse import csr_array

    n = len(cluster)
    member = csr_array((np.ones(n, dtype=np.int64), (cluster, np.arange(n))), shape=(n_clusters, n))
    return csr_array(member @ counts)


def _best(
    of_cluster: Any, k: int, words: NDArray[Any], rare: NDArray[np.float64], least: int, n_terms: int
) -> list[Term]:
    here = slice(of_cluster.indptr[k], of_cluster.indptr[k + 1])
    columns, counts = of_cluster.indices[here], of_cluster.data[here]
    columns, counts = columns[counts >= least], counts[counts >= least]
    order = np.lexsort((columns, -counts * rare[columns]))[:n_terms]  # the cluster's length changes no order
    return [Term(str(words[columns[i]]), int(counts[i])) for i in order.tolist()]
