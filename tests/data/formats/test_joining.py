"""Ids that only some modalities have: refused, dropped, or used, with rows of NaN for what is not there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import sparse as scipy_sparse

from cmc.data.formats import Told, read_contents, reduction, sort_out, sparse
from cmc.data.formats.joining import join, taken
from cmc.errors import UserError
from tests.data.formats.cells import h5ad
from tests.data.formats.common import CODES, IMG, TXT
from tests.data.formats.test_tables import csv_folder

IDS = [f"s{i:02d}" for i in range(12)]
PARTS = {"a": [0, 1, 2, 3, 5, 8], "b": [11, 8, 3, 1, 9]}  # rows that each has


def ids(rows: Any) -> Any:
    return np.array([IDS[i] for i in rows])


def _table(matrix: Any, rows: Any, heads: Any) -> str:
    body = [",".join([IDS[i], *(f"{x}" for x in np.atleast_1d(matrix[i]))]) for i in rows]
    return "\n".join([",".join(["id", *heads]), *body]) + "\n"


def test_all_samples_in_the_order_in_which_they_come_up() -> None:
    joined = join({name: ids(rows) for name, rows in PARTS.items()}, "use")
    samples = [0, 1, 2, 3, 5, 8, 11, 9]
    assert joined.ids is not None
    assert joined.ids.tolist() == ids(samples).tolist()
    assert joined.remarks[-1] == "3 ids are in all of 'a' 6, 'b' 5; 5 others lack some"
    for name, rows in PARTS.items():
        found = taken(IMG[rows], joined.rows[name])
        expected = np.stack([IMG[i] if i in rows else np.full(5, np.nan) for i in samples])
        np.testing.assert_array_equal(found, expected)


def test_whole_numbers_become_as_short_as_they_may() -> None:
    for dtype, becomes in ((np.uint8, np.float16), (np.int16, np.float32), (np.int32, np.float64), (np.float32,) * 2):
        found = taken(np.arange(6, dtype=dtype).reshape(3, 2), np.array([2, -1, 0]))
        assert found.dtype == becomes
        np.testing.assert_array_equal(found, [[4, 5], [np.nan, np.nan], [0, 1]])


def test_ids_without_one_in_common_are_refused_all_the_same() -> None:
    with pytest.raises(UserError, match="no id is in all of"):
        join({"a": ids([0, 1]), "b": ids([2, 3])}, "use")


def test_tables_with_labels_of_some(tmp_path: Path) -> None:
    labelled = [0, 5, 9]
    csv_folder(
        tmp_path,
        img=_table(IMG, PARTS["a"], [f"f{i}" for i in range(5)]),
        txt=_table(TXT, PARTS["b"], [f"f{i}" for i in range(4)]),
        labels=_table(CODES, labelled, ["label"]),
    )
    found = sort_out(tmp_path, read_contents(tmp_path), Told(incomplete="use"))
    assert found.ids is not None
    assert found.labels is not None
    place = {each: row for row, each in enumerate(found.ids.tolist())}
    for i, each in enumerate(IDS):
        if each not in place:
            assert i not in {*PARTS["a"], *PARTS["b"]}
            continue
        for name, part, matrix in (("img", "a", IMG), ("txt", "b", TXT)):
            expected = matrix[i] if i in PARTS[part] else np.nan
            np.testing.assert_allclose(found.features[name][place[each]], expected)
        np.testing.assert_equal(found.labels[place[each]], CODES[i] if i in labelled else np.nan)


def test_a_large_sparse_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sparse, "LARGE", 0)
    monkeypatch.setattr(sparse, "_NARROW", 3)
    monkeypatch.setattr(reduction, "WIDTH", 3)
    h5ad(tmp_path / "a.h5ad", scipy_sparse.csr_matrix(IMG[PARTS["a"]]), list(ids(PARTS["a"])), {})
    h5ad(tmp_path / "b.h5ad", TXT[PARTS["b"]], list(ids(PARTS["b"])), {})
    found = sort_out(tmp_path, read_contents(tmp_path), Told(incomplete="use"))
    components, _ = reduction.fit(found.features, None)
    held = reduction.reduced(found.features, components)
    np.testing.assert_array_equal(np.isnan(held["a"]).all(1), [False] * 6 + [True] * 2)
    np.testing.assert_allclose(held["a"][:6], IMG[PARTS["a"]] @ components["a"].T, rtol=1e-5, atol=1e-6)
    assert np.isnan(held["b"]).all(1).tolist() == [True, False, True, False, True, False, False, False]
