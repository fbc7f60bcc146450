"""Scores of a clustering against classes: pure functions of one contingency table.

They are computed in Python integers of any size: products of counts cannot overflow, and a score does not depend on the
device, on the number of threads, or on the names of clusters and classes.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from torch import Tensor

from cmc.functional.matching import match


def accuracy(table: Tensor) -> float:
    """Clustering accuracy (ACC): the fraction of samples in the class that their cluster is matched to.

    Clusters and classes are matched one to one, so that the fraction is as large as possible. Samples of clusters
    without a partner (K_pred > K_true) and of classes without a partner (K_pred < K_true) count as wrong.

    Args:
        table: (K_pred, K_true) int64 counts.

    Returns:
        A fraction in 0..1; NaN for an empty table.

    Source:
        Kuhn, *The Hungarian method for the assignment problem*, 1955.
    """
    counts, _, _, total = _counts(table)
    hits = sum(row[partner] for row, partner in zip(counts, match(table).tolist(), strict=True) if partner >= 0)
    return hits / total if total else math.nan


def normalized_mutual_info(table: Tensor) -> float:
    """Normalised mutual information (NMI) by the arithmetic mean: 2 I(clusters; classes) / (H(clusters) + H(classes)).

    Two labellings that both put all samples into one set agree: 1. If only one of them does, the score is 0.

    Args:
        table: (K_pred, K_true) int64 counts.

    Returns:
        A number in 0..1, without a unit; NaN for an empty table.

    Source:
        Vinh, Epps and Bailey, *Information theoretic measures for clusterings comparison*, JMLR 2010, the sum variant;
        the same as ``sklearn.metrics.normalized_mutual_info_score``.
    """
    counts, cluster_sizes, class_sizes, total = _counts(table)
    if not total:
        return math.nan
    entropies = _entropy(cluster_sizes, total) + _entropy(class_sizes, total)
    if entropies == 0.0:
        return 1.0
    # The logarithm is of one rounded quotient of exact integers, so that independent labellings score exactly 0.
    information = math.fsum(
        count / total * math.log(total * count / (cluster_size * class_size))
        for row, cluster_size in zip(counts, cluster_sizes, strict=True)
        for count, class_size in zip(row, class_sizes, strict=True)
        if count
    )
    return min(max(2.0 * information / entropies, 0.0), 1.0)


def adjusted_rand_index(table: Tensor) -> float:
    """Adjusted Rand index (ARI): agreement on pairs of samples, 0 for what chance gives and 1 for equal labellings.

    Exact for any number of samples, up to the rounding of one last division.

    Args:
        table: (K_pred, K_true) int64 counts.

    Returns:
        A number in -0.5..1, without a unit; NaN for an empty table.

    Source:
        Hubert and Arabie, *Comparing partitions*, Journal of Classification 1985; in the form of Steinley (2004) that
        ``sklearn.metrics.adjusted_rand_score`` has.
    """
    counts, cluster_sizes, class_sizes, total = _counts(table)
    if not total:
        return math.nan
    # Counts of ordered pairs of samples, those of a sample with itself included.
    both = sum(count * count for row in counts for count in row)
    same_cluster = sum(size * size for size in cluster_sizes)
    same_class = sum(size * size for size in class_sizes)
    true_positive = both - total
    false_positive = same_cluster - both
    false_negative = same_class - both
    true_negative = total * total - same_cluster - same_class + both
    if false_positive == false_negative == 0:
        return 1.0
    return (2 * (true_positive * true_negative - false_negative * false_positive)) / (
        (true_positive + false_negative) * (false_negative + true_negative)
        + (true_positive + false_positive) * (false_positive + true_negative)
    )


def purity(table: Tensor) -> float:
    """Purity: the fraction of samples in the most frequent class of their cluster.

    Several clusters may share a class, so that purity grows with the number of clusters: 1 when every sample is alone.

    Args:
        table: (K_pred, K_true) int64 counts.

    Returns:
        A fraction in 0..1; NaN for an empty table.

    Source:
        Manning, Raghavan and Schütze, *Introduction to Information Retrieval*, 2008, section 16.3.
    """
    counts, _, _, total = _counts(table)
    return sum(max(row) for row in counts) / total if total else math.nan


def _counts(table: Tensor) -> tuple[list[list[int]], list[int], list[int], int]:
    """Python integers: the rows of the table, the sizes of its clusters, the sizes of its classes, their total."""
    rows: list[list[int]] = table.tolist()
    cluster_sizes = [sum(row) for row in rows]
    class_sizes = [sum(column) for column in zip(*rows, strict=True)]
    return rows, cluster_sizes, class_sizes, sum(cluster_sizes)


def _entropy(sizes: Iterable[int], total: int) -> float:
    """Shannon entropy, in nats, of a partition into sets of the given sizes."""
    return math.fsum(size / total * math.log(total / size) for size in sizes if size)
