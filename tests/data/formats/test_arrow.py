"""Parquet, Arrow files and streams, Feather: lists, numbered columns, ids, gaps; one table, shards, one a modality."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cmc.data import formats
from cmc.errors import UserError
from tests.data.formats.common import CODES, IMG, TXT, check, refusal

pyarrow = pytest.importorskip("pyarrow")
feather = pytest.importorskip("pyarrow.feather")
parquet = pytest.importorskip("pyarrow.parquet")
ORDER = np.random.default_rng(1).permutation(12)
IDS = np.array([f"s{i:02d}" for i in range(12)])


def _stream(table: Any, path: Path) -> None:
    with pyarrow.ipc.new_stream(str(path), table.schema) as sink:
        sink.write_table(table, max_chunksize=5)


def _file(table: Any, path: Path) -> None:
    with pyarrow.ipc.new_file(str(path), table.schema) as sink:
        sink.write_table(table, max_chunksize=5)


WRITERS: dict[str, Callable[[Any, Path], None]] = {
    "x.parquet": lambda table, path: parquet.write_table(table, path, row_group_size=5),
    "y.parquet": lambda table, path: parquet.write_table(table, path, compression="zstd", data_page_version="2.0"),
    "x.feather": lambda table, path: feather.write_feather(table, str(path), compression="lz4"),
    "x.arrow": _file,
    "stream.arrow": _stream,
}


def rows(matrix: Any, kind: Any = None) -> Any:
    return pyarrow.array(np.asarray(matrix).tolist(), kind)


def lists(**more: Any) -> Any:
    fixed = pyarrow.list_(pyarrow.uint8(), TXT.shape[1])
    return pyarrow.table({"img": rows(IMG), "txt": rows(TXT, fixed), **more})


def wide(**matrices: Any) -> Any:
    return pyarrow.table(
        {f"{name}_{i}": each for name, x in matrices.items() for i, each in enumerate(np.asarray(x).T)}
    )


def save(path: Path, table: Any) -> Path:
    parquet.write_table(table, path)
    return path


@pytest.mark.parametrize("name", WRITERS)
def test_columns_of_lists_are_modalities(tmp_path: Path, name: str) -> None:
    WRITERS[name](lists(label=CODES), tmp_path / name)
    held = check(tmp_path / name, ["img", "txt"])
    assert held.features["txt"].dtype == np.uint8


@pytest.mark.parametrize("name", WRITERS)
def test_columns_that_are_numbered_alike_are_a_modality(tmp_path: Path, name: str) -> None:
    table = wide(img=IMG, txt=TXT).append_column("class", pyarrow.array(CODES)).append_column("age", [range(12)])
    WRITERS[name](table, tmp_path / name)
    assert "not used: 'age'" in check(tmp_path / name, ["img", "txt"]).source


def test_a_child_reads_as_this_process_does(tmp_path: Path, apart: None) -> None:
    table = lists(label=pyarrow.array(["a", "b", "c"] * 4).dictionary_encode(), name=IDS.tolist())
    held = check(save(tmp_path / "x.parquet", table), ["img", "txt"])
    assert held.classes == ("a", "b", "c")
    assert held.ids is not None
    assert held.ids.tolist() == IDS.tolist()


def test_types_that_are_not_numbers_at_once(tmp_path: Path) -> None:
    halves = pyarrow.FixedShapeTensorArray.from_numpy_ndarray(IMG.astype(np.float16).reshape(12, 5))
    flags = rows(TXT > 100, pyarrow.list_(pyarrow.bool_()))
    prices = pyarrow.array(CODES).cast(pyarrow.decimal128(24, 2))
    held = formats.read(save(tmp_path / "x.parquet", pyarrow.table({"img": halves, "txt": flags, "label": prices})))
    np.testing.assert_array_equal(held.features["img"], IMG.astype(np.float16))
    np.testing.assert_array_equal(held.features["txt"], TXT > 100)
    assert held.labels is not None
    assert held.labels.tolist() == CODES.tolist()


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize("absent", [None, []])
def test_a_list_that_is_not_there_is_a_gap(tmp_path: Path, name: str, absent: Any) -> None:
    """Also where a batch begins with it, and all of a batch, and among whole numbers."""
    gone = [0, 3, *range(5, 10)]
    words = [absent if i in gone else row for i, row in enumerate(TXT.tolist())]
    WRITERS[name](pyarrow.table({"img": rows(IMG), "txt": words}), tmp_path / name)
    kept = np.setdiff1d(np.arange(12), gone)
    held = formats.read(tmp_path / name, incomplete="drop")
    np.testing.assert_array_equal(held.features["txt"], TXT[kept])
    np.testing.assert_array_equal(held.features["img"], IMG[kept])


def test_a_cell_that_is_not_there_is_named(tmp_path: Path) -> None:
    table = wide(img=IMG, txt=TXT).set_column(6, "txt_1", pyarrow.array([None, *range(11)]))
    assert "modality 'txt', row 0, column 1 is nan" in refusal(save(tmp_path / "x.parquet", table))


def test_lists_of_several_lengths(tmp_path: Path) -> None:
    words = [row[: 3 if i == 7 else None] for i, row in enumerate(TXT.tolist())]
    message = refusal(save(tmp_path / "x.parquet", pyarrow.table({"img": rows(IMG), "txt": words})))
    assert "row 7 of column 'txt' has 3 numbers, another one 4" in message


def test_columns_that_are_nested(tmp_path: Path) -> None:
    tokens = [[row, row] for row in TXT.tolist()]
    table = pyarrow.table({"img": rows(IMG), "tokens": tokens})
    message = refusal(save(tmp_path / "x.parquet", table))
    assert "the column 'tokens' is list<element: list<element: int64>>, which is nested" in message
    table = lists(meta=[{"width": i} for i in range(12)], label=CODES)
    held = check(save(tmp_path / "y.parquet", table), ["img", "txt"])
    assert held.remarks[0].startswith("meta: the column is struct<width: int64>, neither numbers")


def test_long_texts_are_neither_ids_nor_classes(tmp_path: Path) -> None:
    table = lists(caption=[f"{i} " * 100 for i in range(12)], kind=["a", "b"] * 6)
    held = formats.read(save(tmp_path / "x.parquet", table))
    assert held.offered == ("data.labels=kind (2 values)",)
    assert "not used: 'caption', 'kind'" in held.source


def test_an_index_of_pandas_is_ids_unless_it_counts(tmp_path: Path) -> None:
    for index, ids in ((IDS.tolist(), IDS.tolist()), (range(12), None)):
        table = lists().append_column("__index_level_0__", [index])
        held = check(save(tmp_path / "x.parquet", table), ["img", "txt"], labelled=False)
        assert (held.ids.tolist() if held.ids is not None else None) == ids


def test_shards_of_one_table(tmp_path: Path) -> None:
    for k, part in enumerate((range(5), range(5, 12))):
        save(tmp_path / f"train-0000{k}-of-00002.parquet", lists(label=CODES).take(list(part)))
    check(tmp_path, ["img", "txt"])
    save(tmp_path / "test-00000-of-00001.parquet", lists())
    assert "shards of 2 tables (test, train); give one a folder" in refusal(tmp_path)


def test_a_table_for_each_modality_is_joined_by_id(tmp_path: Path) -> None:
    save(tmp_path / "img.parquet", wide(f=IMG).append_column("id", [IDS]))
    save(tmp_path / "txt.parquet", pyarrow.table({"id": IDS[ORDER], "embedding": rows(TXT[ORDER])}))
    save(tmp_path / "labels.parquet", pyarrow.table({"id": IDS[::-1], "kind": CODES[::-1]}))
    held = check(tmp_path, ["img", "txt"])
    assert held.ids is not None
    assert held.ids.tolist() == IDS.tolist()
    assert "txt: its rows are brought into the order of img, by id" in held.remarks


def test_ids_by_the_name_that_is_told(tmp_path: Path) -> None:
    numbers = 10 * np.arange(12)
    save(tmp_path / "img.parquet", wide(f=IMG).append_column("code", [numbers]))
    save(tmp_path / "txt.parquet", wide(f=TXT[ORDER]).append_column("code", [numbers[ORDER]]))
    check(tmp_path, ["img", "txt"], labelled=False, ids="code")
    save(tmp_path / "txt.parquet", wide(f=TXT).append_column("code", [numbers // 20]))
    with pytest.raises(UserError, match=r"txt.parquet: data.ids=code: an id is there more than once"):
        formats.read(tmp_path, ids="code")


@pytest.mark.parametrize("cut", [6, 300, -9])
@pytest.mark.parametrize("name", ["x.parquet", "x.arrow", "stream.arrow"])
def test_files_that_are_cut_short(tmp_path: Path, name: str, cut: int) -> None:
    WRITERS[name](lists(label=CODES), tmp_path / name)
    whole = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(whole[:cut])
    assert "cannot be read as a Parquet or Arrow table" in refusal(tmp_path / name)


def test_a_table_of_no_rows_or_of_one_modality(tmp_path: Path) -> None:
    assert "give at least 2" in refusal(save(tmp_path / "x.parquet", pyarrow.table({"img": rows(IMG)})))
    assert "no 2-d array in it (it holds 'a' 12" in refusal(
        save(tmp_path / "x.parquet", pyarrow.table({"a": IMG[:, 0], "b": IMG[:, 1]}))
    )
    assert "no columns" not in refusal(save(tmp_path / "x.parquet", lists().slice(0, 0)))


def test_without_the_package_a_line_says_what_installs_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = save(tmp_path / "x.parquet", lists())
    monkeypatch.setattr("cmc.utils.packages.find_spec", lambda name: None)
    assert "pyarrow is not installed: pip install 'cmc[parquet]'" in refusal(path)
