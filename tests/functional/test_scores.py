"""The contingency table and its scores, against scikit-learn, brute force and exact fractions."""

from __future__ import annotations

import doctest
import math
from collections.abc import Callable
from fractions import Fraction
from itertools import permutations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score
from sklearn.metrics.cluster import contingency_matrix
from torch import Tensor

from cmc.functional import contingency
from cmc.functional.contingency import contingency_table
from cmc.functional.scores import accuracy, adjusted_rand_index, normalized_mutual_info, purity

FAST = settings(deadline=None, derandomize=True, max_examples=100)
SCORES = [accuracy, normalized_mutual_info, adjusted_rand_index, purity]
Score = Callable[[Tensor], float]
Labelled = tuple[list[int], list[int], int, int]


@st.composite
def labelled(draw: st.DrawFn, smallest: int = 1) -> Labelled:
    """Clusters, classes, K_pred, K_true: few samples over up to 6 labels each, so that empty ones are frequent."""
    n_clusters, n_classes, n = draw(st.integers(1, 6)), draw(st.integers(1, 6)), draw(st.integers(smallest, 40))
    clusters = draw(st.lists(st.integers(0, n_clusters - 1), min_size=n, max_size=n))
    classes = draw(st.lists(st.integers(0, n_classes - 1), min_size=n, max_size=n))
    return clusters, classes, n_clusters, n_classes


def table_of(drawn: Labelled) -> Tensor:
    clusters, classes, n_clusters, n_classes = drawn
    return contingency_table(
        torch.tensor(clusters, dtype=torch.int64), torch.tensor(classes, dtype=torch.int64), n_clusters, n_classes
    )


def labels_of(table: list[list[int]]) -> tuple[list[int], list[int]]:
    """Samples that have the given table: their clusters and their classes."""
    cells = [(i, j) for i, row in enumerate(table) for j, count in enumerate(row) for _ in range(count)]
    return [i for i, _ in cells], [j for _, j in cells]


def brute_force_accuracy(clusters: list[int], classes: list[int], n_names: int) -> float:
    """The best fraction of agreement over all ways to give clusters distinct names."""
    agreements = [
        sum(names[cluster] == label for cluster, label in zip(clusters, classes, strict=True))
        for names in permutations(range(n_names))
    ]
    return max(agreements) / len(clusters)


def naive_purity(clusters: list[int], classes: list[int]) -> float:
    members = [[label for other, label in zip(clusters, classes, strict=True) if other == c] for c in set(clusters)]
    return sum(max(map(group.count, group)) for group in members) / len(clusters)


def exact_adjusted_rand_index(table: list[list[int]]) -> Fraction:
    """Hubert and Arabie's equation 5, in binomial coefficients and fractions."""
    pairs = Fraction(sum(math.comb(n, 2) for row in table for n in row))
    in_clusters = Fraction(sum(math.comb(sum(row), 2) for row in table))
    in_classes = Fraction(sum(math.comb(sum(column), 2) for column in zip(*table, strict=True)))
    expected = in_clusters * in_classes / math.comb(sum(map(sum, table)), 2)
    return (pairs - expected) / ((in_clusters + in_classes) / 2 - expected)


@FAST
@given(labelled(smallest=0))
def test_table_counts_every_sample_once(drawn: Labelled) -> None:
    clusters, classes, n_clusters, n_classes = drawn
    expected = [[0] * n_classes for _ in range(n_clusters)]
    for cluster, label in zip(clusters, classes, strict=True):
        expected[cluster][label] += 1
    table = table_of(drawn)
    assert table.dtype == torch.int64
    assert table.tolist() == expected


@FAST
@given(labelled())
def test_table_equals_that_of_scikit_learn(drawn: Labelled) -> None:
    table = table_of(drawn).numpy()
    without_empty = table[table.any(axis=1)][:, table.any(axis=0)]
    np.testing.assert_array_equal(without_empty, contingency_matrix(drawn[0], drawn[1]))


@FAST
@given(labelled())
def test_scores_equal_independent_ones(drawn: Labelled) -> None:
    clusters, classes, n_clusters, n_classes = drawn
    table = table_of(drawn)
    assert accuracy(table) == brute_force_accuracy(clusters, classes, max(n_clusters, n_classes))
    assert purity(table) == naive_purity(clusters, classes)
    assert adjusted_rand_index(table) == pytest.approx(adjusted_rand_score(classes, clusters), abs=1e-14)
    assert normalized_mutual_info(table) == pytest.approx(normalized_mutual_info_score(classes, clusters), abs=1e-12)


@FAST
@given(labelled(), st.randoms(use_true_random=False))
def test_names_of_clusters_and_classes_do_not_matter(drawn: Labelled, random) -> None:  # type: ignore[no-untyped-def]
    table = table_of(drawn)
    rows, columns = (random.sample(range(size), size) for size in table.shape)
    for score in SCORES:
        assert score(table[rows][:, columns]) == score(table)


@pytest.mark.parametrize("shape", [(30, 7), (7, 30), (20, 20)])
def test_scores_of_many_samples_equal_those_of_scikit_learn(shape: tuple[int, int]) -> None:
    generator = torch.Generator().manual_seed(3)
    classes = torch.randint(shape[1], (5000,), generator=generator)
    noise = torch.randint(shape[0], (5000,), generator=generator)
    clusters = torch.where(torch.rand(5000, generator=generator) < 0.6, classes % shape[0], noise)
    table = contingency_table(clusters, classes, *shape)
    assert 0.1 < adjusted_rand_index(table) == pytest.approx(adjusted_rand_score(classes, clusters), abs=1e-14)
    assert (
        0.2 < normalized_mutual_info(table) == pytest.approx(normalized_mutual_info_score(classes, clusters), abs=1e-12)
    )


@pytest.mark.parametrize(
    ("table", "acc", "nmi", "ari", "pur"),
    [
        pytest.param([[4]], 1.0, 1.0, 1.0, 1.0, id="one cluster, one class"),
        pytest.param([[1]], 1.0, 1.0, 1.0, 1.0, id="one sample"),
        pytest.param([[0, 0], [0, 3]], 1.0, 1.0, 1.0, 1.0, id="one cluster, one class, empty others"),
        pytest.param([[3, 3]], 0.5, 0.0, 0.0, 0.5, id="one cluster, two classes"),
        pytest.param([[3], [3]], 0.5, 0.0, 0.0, 1.0, id="two clusters, one class"),
        pytest.param([[1, 0, 0], [0, 1, 0], [0, 0, 1]], 1.0, 1.0, 1.0, 1.0, id="all singletons, all classes"),
        pytest.param([[1], [1], [1], [1]], 0.25, 0.0, 0.0, 1.0, id="all singletons, one class"),
        pytest.param([[2, 2], [2, 2]], 0.5, 0.0, -1 / 6, 0.5, id="independent"),
        pytest.param([[1, 1], [1, 1]], 0.5, 0.0, -0.5, 0.5, id="worse than chance"),
        pytest.param([[0, 5], [7, 0]], 1.0, 1.0, 1.0, 1.0, id="perfect up to names"),
        pytest.param([[0, 5], [0, 0], [7, 0]], 1.0, 1.0, 1.0, 1.0, id="perfect, an empty cluster"),
        pytest.param([[0, 5, 0], [7, 0, 0]], 1.0, 1.0, 1.0, 1.0, id="perfect, an empty class"),
    ],
)
def test_degenerate_tables(table: list[list[int]], acc: float, nmi: float, ari: float, pur: float) -> None:
    counts = torch.tensor(table)
    assert accuracy(counts) == acc
    assert normalized_mutual_info(counts) == nmi
    assert adjusted_rand_index(counts) == pytest.approx(ari, abs=1e-15)
    assert purity(counts) == pur
    clusters, classes = labels_of(table)
    assert nmi == pytest.approx(normalized_mutual_info_score(classes, clusters), abs=1e-12)
    assert ari == pytest.approx(adjusted_rand_score(classes, clusters), abs=1e-12)


def test_mutual_information_is_exact_where_it_can_be() -> None:
    sizes = torch.tensor([3, 7, 11, 13, 29])
    assert normalized_mutual_info(torch.outer(sizes, sizes[1:])) == 0.0
    assert normalized_mutual_info(torch.diag(sizes)) == 1.0


@pytest.mark.parametrize("score", SCORES)
@pytest.mark.parametrize("shape", [(3, 2), (0, 2), (2, 0)])
def test_no_sample_no_score(score: Score, shape: tuple[int, int]) -> None:
    assert math.isnan(score(torch.zeros(shape, dtype=torch.int64)))


@pytest.mark.parametrize(
    "small", [[[5, 1, 0], [2, 7, 3]], [[5, 1], [0, 4], [2, 2]], [[9, 0], [0, 9]], [[1, 3], [2, 6]], [[8, 1], [1, 8]]]
)
def test_counts_whose_products_overflow_int64(small: list[list[int]]) -> None:
    scale = 10**16
    big = [[scale * count for count in row] for row in small]
    assert sum(map(sum, big)) ** 2 > 2**63
    clusters, classes = labels_of(small)
    table = torch.tensor(big)
    assert accuracy(table) == brute_force_accuracy(clusters, classes, max(len(small), len(small[0])))
    assert purity(table) == naive_purity(clusters, classes)
    assert normalized_mutual_info(table) == pytest.approx(normalized_mutual_info_score(classes, clusters), abs=1e-12)
    assert adjusted_rand_index(table) == float(exact_adjusted_rand_index(big))


@FAST
@given(labelled(smallest=2))
def test_adjusted_rand_index_is_the_exact_fraction_rounded_once(drawn: Labelled) -> None:
    table = table_of(drawn)
    try:
        expected = exact_adjusted_rand_index(table.tolist())
    except ZeroDivisionError:  # both all in one set, or both all singletons: equal labellings
        expected = Fraction(1)
    assert adjusted_rand_index(table) == float(expected)


@FAST
@given(labelled(), st.integers(0, 40))
def test_tables_of_parts_add_up(drawn: Labelled, cut: int) -> None:
    clusters, classes, *sizes = drawn
    parts = table_of((clusters[:cut], classes[:cut], *sizes)) + table_of((clusters[cut:], classes[cut:], *sizes))
    assert torch.equal(parts, table_of(drawn))


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int8, torch.int16, torch.int32])
def test_small_integers_do_not_wrap_around(dtype: torch.dtype) -> None:
    labels = torch.tensor([0, 99, 99], dtype=dtype)
    table = contingency_table(labels, labels, 100, 100)
    assert table[0, 0] == 1
    assert table[99, 99] == 2
    assert table.sum() == 3


@pytest.mark.parametrize(
    ("clusters", "classes", "message"),
    [
        ([0, 1], [0, 1, 1], "same length, got 2 and 3"),
        ([0.0, 1.0], [0, 1], "clusters must be a vector of integers, got torch.float32"),
        ([0, 1], [True, False], "classes must be a vector of integers, got torch.bool"),
        ([[0], [1]], [0, 1], r"clusters must be a vector of integers, got torch.int64 of the shape \(2, 1\)"),
        ([0, 3], [0, 1], r"clusters must lie in 0\.\.2, got labels from 0 to 3"),
        ([0, 1], [0, 2], r"classes must lie in 0\.\.1, got labels from 0 to 2"),
        ([0, 1], [-1, 1], r"classes must lie in 0\.\.1, got labels from -1 to 1"),
    ],
)
def test_wrong_labels_are_refused_in_one_line(clusters: list[int], classes: list[int], message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        contingency_table(torch.tensor(clusters), torch.tensor(classes), n_clusters=3, n_classes=2)
    assert "\n" not in str(caught.value)


def test_examples_of_the_docstrings() -> None:
    results = doctest.testmod(contingency)  # the scores' are in the metrics' docstrings
    assert results.attempted >= 1
    assert results.failed == 0
