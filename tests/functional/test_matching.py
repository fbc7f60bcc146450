"""Matching, against brute force over all permutations."""

from __future__ import annotations

import doctest
from itertools import permutations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cmc.functional import matching
from cmc.functional.matching import match

FAST = settings(deadline=None, derandomize=True, max_examples=60)
sizes = st.integers(1, 5)


def best_sum(rows: list[list[int]]) -> int:
    """The largest sum of a one-to-one matching, by trying all of them on the table padded to a square."""
    n = max(len(rows), len(rows[0]))
    padded = [row + [0] * (n - len(row)) for row in rows] + [[0] * n] * (n - len(rows))
    return max(sum(padded[i][j] for i, j in enumerate(columns)) for columns in permutations(range(n)))


@st.composite
def tables(draw: st.DrawFn) -> list[list[int]]:
    n_rows, n_columns = draw(sizes), draw(sizes)
    return draw(
        st.lists(st.lists(st.integers(0, 50), min_size=n_columns, max_size=n_columns), min_size=n_rows, max_size=n_rows)
    )


@FAST
@given(tables())
def test_matching_is_one_to_one_complete_and_of_maximum_weight(rows: list[list[int]]) -> None:
    partners = match(torch.tensor(rows))
    assert partners.dtype == torch.int64
    assert partners.shape == (len(rows),)
    matched = [(row, column) for row, column in enumerate(partners.tolist()) if column != -1]
    columns = [column for _, column in matched]
    assert len(set(columns)) == len(columns) == min(len(rows), len(rows[0]))
    assert all(0 <= column < len(rows[0]) for column in columns)
    assert sum(rows[row][column] for row, column in matched) == best_sum(rows)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int32, torch.int64, torch.bfloat16, torch.float32, torch.float64])
def test_every_real_dtype(dtype: torch.dtype) -> None:
    table = torch.tensor([[1, 9, 0], [8, 7, 0]], dtype=dtype)
    assert match(table).tolist() == [1, 0]
    assert match(table.T).tolist() == [1, 0, -1]


def test_negative_weights_and_gradients_are_no_obstacle() -> None:
    table = torch.tensor([[-5.0, -1.0], [-1.0, -9.0]], requires_grad=True)
    assert match(table).tolist() == [1, 0]


def test_empty_tables() -> None:
    assert match(torch.zeros(0, 3)).tolist() == []
    assert match(torch.zeros(3, 0)).tolist() == [-1, -1, -1]


def test_a_table_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match=r"must be a matrix, got the shape \(3,\)"):
        match(torch.zeros(3))
    with pytest.raises(ValueError, match="invalid numeric"):
        match(torch.tensor([[float("nan"), 1.0], [0.0, 1.0]]))


def test_examples_of_the_docstrings() -> None:
    results = doctest.testmod(matching)
    assert results.attempted >= 1
    assert results.failed == 0
