"""Folders of .csv files, written by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cmc.data import formats
from tests.data.formats.common import CODES, IMG, TXT, check, refusal

NAMES = ["cat", "dog", "hen"]


def text(table: Any, separator: str = ",", end: str = "\n") -> str:
    return "".join(separator.join(map(repr, row)) + end for row in np.asarray(table).tolist())


def csv_folder(path: Path, **tables: str) -> Path:
    path.mkdir(exist_ok=True)
    for name, content in tables.items():
        (path / f"{name}.csv").write_bytes(content.encode())
    return path


@pytest.mark.parametrize("separator", [",", ";", "\t", " , "])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("header", [False, True])
def test_folder(tmp_path: Path, separator: str, end: str, header: bool) -> None:
    def heading(width: int) -> str:
        return separator.join(f"feature {i}" for i in range(width)) + end if header else ""

    folder = csv_folder(
        tmp_path / "f",
        img=heading(5) + text(IMG, separator, end),
        txt=heading(4) + text(TXT, separator, end),
        labels=heading(1) + text(CODES[:, None] + 1, separator, end),
    )
    (folder / "._img.csv").write_text("left behind by a file browser")
    held = check(folder, ["img", "txt"])
    assert held.classes == ("1", "2", "3")
    assert held.source == str(folder)


def test_folder_without_labels(tmp_path: Path) -> None:
    check(csv_folder(tmp_path, img=text(IMG), txt=text(TXT)), ["img", "txt"], labelled=False)


def test_marks_of_other_programs(tmp_path: Path) -> None:
    quoted = "".join(",".join(f'"{cell}"' for cell in row) + "\n" for row in TXT)
    check(csv_folder(tmp_path, img="\ufeff" + text(IMG), txt="\n" + quoted + "\n\n"), ["img", "txt"], labelled=False)
    (tmp_path / "img.csv").rename(tmp_path / "img.CSV")
    check(tmp_path, ["img", "txt"], labelled=False)


@pytest.mark.parametrize("heading", ["", "label\n", "Labels\n", "class\n"])
def test_names_of_classes(tmp_path: Path, heading: str) -> None:
    names = heading + "".join(f"{NAMES[code]}\n" for code in CODES)
    held = check(csv_folder(tmp_path, img=text(IMG), txt=text(TXT), labels=names), ["img", "txt"])
    assert held.classes == ("cat", "dog", "hen")


def test_tables_by_name(tmp_path: Path) -> None:
    named = "".join(f"{NAMES[code]}\n" for code in CODES)
    folder = csv_folder(tmp_path, b=text(TXT), a=text(IMG), c=text(IMG + 1), kind=named)
    held = check(folder, ["a", "b"], features=["a", "b"], labels="kind")
    assert held.source.endswith("(not used: 'c')")
    assert "data.features names 'd', which is not in it" in refusal(folder, features=["a", "d"])


def test_samples_in_columns(tmp_path: Path) -> None:
    folder = csv_folder(tmp_path, img=text(IMG.T), txt=text(TXT.T), labels=text(CODES[None, :]))
    check(folder, ["img", "txt"])


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("1,2\n3,x\n", "line 2, column 2: 'x' is no finite number"),
        ("a,b\n1,2\n\n3,\n", "line 4, column 2: '' is no finite number"),
        ("1,2\n3,nan\n", "line 2, column 2: 'nan'"),
        ("1,2\ninf,4\n", "line 2, column 1: 'inf'"),
        ("1,x\n3,4\n", "line 1, column 2: 'x'"),
        ("1,5;2,5\n1,5;2,5\n", "line 1, column 1: '1,5'"),
        ("1_0,2\n3,4\n", "line 1, column 1: '1_0'"),
        ("1,2,3\n4,5\n", "line 2: 2 cells, but 3 in line 1"),
        ("a,b\n4,5,6,7\n", "line 2: 4 cells, but 2 in line 1"),
        ("1\n2\nx\n", "line 3, column 1: 'x'"),
        ("cat\n2\ndog\n", "line 3, column 1: 'dog'"),
        ("1.0 2.0\n3.0 4.0\n5.0 x\n", "line 3, column 2: 'x'"),
        ("a,b\n", "one row, and no number in it"),
        ("", "the file is empty"),
        ("\n \n", "the file is empty"),
        ("<!DOCTYPE html>\n<html>, <body>\n", "line 2: 2 cells, but 1 in line 1"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, content: str, says: str) -> None:
    folder = csv_folder(tmp_path, img=text(IMG), txt=content)
    message = refusal(folder)
    assert message.startswith(str(folder / "txt.csv"))
    assert says in message


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("é,1\n2,3\n".encode("latin-1"), "is not text in UTF-8"),
        ("1,2\n3,é\n".encode("latin-1"), "is not text in UTF-8"),
        ("1,2\n3,4\n".encode("utf-16"), "is not text in UTF-8"),
        (b"1,2\n3,\x004\n", "txt.csv"),
    ],
)
def test_bytes_that_are_no_text(tmp_path: Path, content: bytes, says: str) -> None:
    csv_folder(tmp_path, img=text(IMG))
    (tmp_path / "txt.csv").write_bytes(content)
    assert says in refusal(tmp_path)


def test_truncated(tmp_path: Path) -> None:
    """Only a cut within the last number, or just after it, cannot be told from a whole table."""
    whole = text(IMG)
    csv_folder(tmp_path, txt=text(TXT))
    for length in range(0, whole.rindex(",") + 1, 7):
        csv_folder(tmp_path, img=whole[:length])
        refusal(tmp_path)


def test_single_table_is_refused(tmp_path: Path) -> None:
    csv_folder(tmp_path, img=text(IMG))
    assert "one .csv file for each modality into a folder" in refusal(tmp_path / "img.csv")


def test_npy_and_csv_are_not_mixed(tmp_path: Path) -> None:
    np.save(tmp_path / "img.npy", IMG)
    np.save(tmp_path / "txt.npy", TXT)
    csv_folder(tmp_path, labels=text(CODES[:, None]))
    assert "files of several kinds are in it" in refusal(tmp_path)


def test_read_arrays_tells_nothing_apart(tmp_path: Path) -> None:
    arrays = formats.read_arrays(csv_folder(tmp_path, img=text(IMG), labels=text(CODES[:, None])))
    np.testing.assert_array_equal(arrays["img"], IMG)
    np.testing.assert_array_equal(arrays["labels"], CODES)
