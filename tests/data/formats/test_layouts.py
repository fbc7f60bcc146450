"""Tables as people leave them: counts of rows, ids, headings, genes x samples; each of them read for what it is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cmc.data import formats
from tests.data.formats.common import CODES, IMG, TXT, check, refusal
from tests.data.formats.test_tables import csv_folder, text

ORDER = np.random.default_rng(1).permutation(12)
NAMES = [f"TCGA-{i:04d}" for i in range(12)]


def table(matrix: Any, first: Any = None, heading: list[str] | None = None, separator: str = ",") -> str:
    """A table with a first column and a heading."""
    lines = [separator.join(heading)] if heading else []
    firsts = [[]] * len(matrix) if first is None else [[each] for each in first]
    body = zip(firsts, np.asarray(matrix).tolist(), strict=True)
    return "\n".join([*lines, *(separator.join(map(str, [*begun, *row])) for begun, row in body)]) + "\n"


def heads(width: int, first: str | None = None) -> list[str]:
    return [*([] if first is None else [first]), *(f"f{i}" for i in range(width))]


@pytest.mark.parametrize(("heading", "start"), [("", 0), ('""', 1), ("Unnamed: 0", 0)])
def test_an_index_of_pandas_or_r_is_left_out_with_a_remark(tmp_path: Path, heading: str, start: int) -> None:
    count = [f'"{i}"' if start else i for i in range(start, start + 12)]
    csv_folder(
        tmp_path,
        img=table(IMG, count, heads(5, heading)),
        txt=table(TXT, count, heads(4, heading)),
        labels=table(CODES[:, None], count, [heading, "label"]),
    )
    held = check(tmp_path, ["img", "txt"])
    assert held.dims == {"img": 5, "txt": 4}
    if heading != "Unnamed: 0":
        assert any("img: column 1 counts the rows" in remark for remark in held.remarks)
        assert held.ids is None


def test_a_count_without_a_heading_is_left_out_in_any_form(tmp_path: Path) -> None:
    count = np.arange(7, 19)
    csv_folder(tmp_path / "f", img=table(IMG, np.arange(12)), txt=table(TXT, np.arange(12)))
    assert check(tmp_path / "f", ["img", "txt"], labelled=False).dims == {"img": 5, "txt": 4}
    np.savez(
        tmp_path / "v.npz", img=np.column_stack([IMG, count]), txt=np.column_stack([TXT[:, :2], count, TXT[:, 2:]])
    )
    held = check(tmp_path / "v.npz", ["img", "txt"], labelled=False)
    assert held.remarks == (
        "img: column 6 counts the rows, and is left out",
        "txt: column 3 counts the rows, and is left out",
    )
    told = formats.read(tmp_path / "v.npz", features=["img", "txt"])
    assert told.dims == {"img": 6, "txt": 5}


def test_numbers_that_count_up_are_a_heading(tmp_path: Path) -> None:
    csv_folder(
        tmp_path,
        img=table(IMG, heading=list("01234")),
        txt=table(TXT, range(12), ["", "0", "1", "2", "3"]),
        labels=table(CODES[:, None], heading=["0"]),
    )
    held = check(tmp_path, ["img", "txt"])
    assert "labels: the first line, of numbers that count up, is taken for a heading" in held.remarks


def test_a_first_row_that_happens_to_count_up_is_a_row_where_the_other_tables_have_as_many(tmp_path: Path) -> None:
    counting = np.vstack([[1, 2, 3, 4], TXT[1:]])
    csv_folder(tmp_path, img=text(IMG), txt=text(counting), labels=text(CODES[:, None]))
    np.testing.assert_array_equal(formats.read(tmp_path).features["txt"], counting)


def test_a_class_at_the_end_of_every_table_is_asked_about_and_taken_where_told(tmp_path: Path) -> None:
    csv_folder(
        tmp_path,
        img=table(np.column_stack([IMG, CODES]), heading=[*"01234", "0"]),
        txt=table(np.column_stack([TXT, CODES]), heading=[*"0123", "0"]),
    )
    message = refusal(tmp_path)
    assert "the last column is the same 3 whole numbers in 'img', 'txt'" in message
    assert "data.labels=img:6" in message
    check(tmp_path, ["img", "txt"], labels="img:6")
    assert formats.read(tmp_path, features=["img", "txt"]).dims == {"img": 6, "txt": 5}


def test_a_class_at_the_end_is_asked_about_in_any_form(tmp_path: Path) -> None:
    np.savez(tmp_path / "v.npz", view_0=np.column_stack([IMG, CODES]), view_1=np.column_stack([TXT, CODES]))
    assert "data.labels=view_0:6" in refusal(tmp_path / "v.npz")
    check(tmp_path / "v.npz", ["view_0", "view_1"], labels="view_0:6")


def test_a_column_named_label_is_the_labels(tmp_path: Path) -> None:
    csv_folder(
        tmp_path,
        img=table(np.column_stack([IMG, CODES]), heading=[*heads(5), "Class Label"]),
        txt=table(TXT, heading=heads(4)),
    )
    assert check(tmp_path, ["img", "txt"]).dims == {"img": 5, "txt": 4}


@pytest.mark.parametrize("ids", [NAMES, list(range(1000, 1012)), [f" {name} " for name in NAMES]])
def test_rows_are_joined_by_id(tmp_path: Path, ids: list[Any]) -> None:
    turned = [ids[i] for i in ORDER]
    csv_folder(
        tmp_path,
        img=table(IMG, ids, heads(5, "id")),
        txt=table(TXT[ORDER], turned, heads(4, "id")),
        labels=table(CODES[ORDER[::-1], None], turned[::-1], ["id", "label"]),
    )
    held = check(tmp_path, ["img", "txt"])
    assert held.ids is not None
    assert held.ids.tolist() == [str(each).strip() for each in ids]
    assert "txt: its rows are brought into the order of img, by id" in held.remarks


def test_ids_without_a_heading_are_told_by_being_the_same_set(tmp_path: Path) -> None:
    ids = ORDER * 7 + 3
    again = np.argsort(ids)
    csv_folder(tmp_path, img=table(IMG, ids), txt=table(TXT[again], ids[again]))
    held = check(tmp_path, ["img", "txt"], labelled=False)
    assert held.ids is not None
    assert held.ids.tolist() == ids.astype(str).tolist()


def test_labels_without_ids_beside_modalities_in_two_orders_are_refused(tmp_path: Path) -> None:
    csv_folder(
        tmp_path,
        img=table(IMG, NAMES, heads(5, "id")),
        txt=table(TXT[ORDER], [NAMES[i] for i in ORDER], heads(4, "id")),
        labels=table(CODES[:, None], heading=["label"]),
    )
    assert "which label is whose cannot be told; give it the column of ids, too" in refusal(tmp_path)


def test_partial_overlap_is_refused_with_its_number_and_kept_where_told(tmp_path: Path) -> None:
    csv_folder(
        tmp_path,
        img=table(IMG, NAMES, heads(5, "sample")),
        txt=table(TXT[3:], NAMES[3:], heads(4, "sample")),
        labels=table(CODES[:, None], NAMES, ["sample", "label"]),
    )
    message = refusal(tmp_path)
    assert "9 ids are in all of 'img' 12, 'txt' 9" in message
    assert "data.incomplete=drop keeps these 9" in message
    held = formats.read(tmp_path, incomplete="drop")
    np.testing.assert_array_equal(held.features["img"], IMG[3:])
    np.testing.assert_array_equal(held.labels, CODES[3:])
    assert held.ids is not None
    assert held.ids.tolist() == NAMES[3:]


def test_no_overlap_is_refused(tmp_path: Path) -> None:
    other = [f"X{name}" for name in NAMES]
    csv_folder(tmp_path, img=table(IMG, NAMES, heads(5, "id")), txt=table(TXT, other, heads(4, "id")))
    assert "no id is in all of 'img', 'txt': 'img' begins with 'TCGA-0000', 'txt' begins with 'XTCGA-0000'" in refusal(
        tmp_path
    )
    csv_folder(tmp_path, txt=table(TXT, NAMES, heads(4, "id")), labels=table(CODES[:, None], other, ["id", "label"]))
    assert "'labels' has none of the modalities' ids" in refusal(tmp_path)


def test_labels_for_a_subset_leave_the_others_unlabelled(tmp_path: Path) -> None:
    csv_folder(
        tmp_path,
        img=table(IMG, NAMES, heads(5, "id")),
        txt=table(TXT, NAMES, heads(4, "id")),
        labels=table(CODES[:9, None], NAMES[:9], ["id", "label"]),
    )
    held = formats.read(tmp_path)
    assert held.labels is not None
    assert held.labels.tolist() == [*CODES[:9].tolist(), -1, -1, -1]
    assert (held.n_labelled, held.n_classes) == (9, 3)
    assert "labels: 3 of 12 samples have none, by id" in held.remarks


@pytest.mark.parametrize(
    ("ids", "says"),
    [
        ([*NAMES[:11], NAMES[0]], "the id 'TCGA-0000' is there 2 times (the column 'id')"),
        ([*NAMES[:11], ""], "the column 'id' is blank in row 12"),
    ],
)
def test_ids_that_are_none_are_refused(tmp_path: Path, ids: list[str], says: str) -> None:
    csv_folder(tmp_path, img=table(IMG, ids, heads(5, "id")), txt=table(TXT, NAMES, heads(4, "id")))
    assert says in refusal(tmp_path)


def test_ids_of_mixed_types_are_text(tmp_path: Path) -> None:
    ids = ["a1", "17", "3.0", *NAMES[3:]]
    csv_folder(tmp_path, img=table(IMG, ids, heads(5, "id")), txt=table(TXT[::-1], ids[::-1], heads(4, "id")))
    held = check(tmp_path, ["img", "txt"], labelled=False)
    assert held.ids is not None
    assert held.ids.tolist()[:3] == ["a1", "17", "3"]


def test_two_columns_of_ids_are_asked_about(tmp_path: Path) -> None:
    two = "".join(f"{name},{name.lower()},{i / 7},{i / 3}\n" for i, name in enumerate(NAMES))
    csv_folder(tmp_path, img="id,case,f0,f1\n" + two, txt=table(TXT, NAMES, heads(4, "id")))
    assert "both the column 'id' and the column 'case' could be ids; say which, data.ids=id" in refusal(tmp_path)
    held = formats.read(tmp_path, ids="id")
    assert held.ids is not None
    assert held.ids.tolist() == NAMES
    assert held.dims["img"] == 2
    assert "data.ids=none: no table has such a column" in refusal(tmp_path, ids="none")


def test_one_heading_less_file_beside_one_with_a_heading(tmp_path: Path) -> None:
    csv_folder(tmp_path, img=table(IMG, NAMES, heads(5, "id")), txt=table(TXT[ORDER], [NAMES[i] for i in ORDER]))
    check(tmp_path, ["img", "txt"], labelled=False)


def test_genes_by_samples_with_names(tmp_path: Path) -> None:
    turned = [NAMES[i] for i in ORDER]
    csv_folder(
        tmp_path,
        img=table(IMG.T, [f"G{i}" for i in range(5)], ["gene", *NAMES]),
        txt=table(TXT[ORDER].T, [f"P{i}" for i in range(4)], ["probe", *turned]),
        labels=table(CODES[:, None], NAMES, ["sample", "label"]),
    )
    held = check(tmp_path, ["img", "txt"])
    assert held.ids is not None
    assert held.ids.tolist() == NAMES
    assert held.source.endswith("(samples are columns)")


def test_genes_by_samples_where_some_samples_lack_one(tmp_path: Path) -> None:
    csv_folder(
        tmp_path,
        img=table(IMG.T, [f"G{i}" for i in range(5)], ["", *NAMES]),
        txt=table(TXT[2:].T, [f"P{i}" for i in range(4)], ["", *NAMES[2:]]),
    )
    assert "10 ids are in all of 'img' 12, 'txt' 10" in refusal(tmp_path)
    np.testing.assert_array_equal(formats.read(tmp_path, incomplete="drop").features["txt"], TXT[2:])


def test_the_same_names_on_both_sides_are_asked_about_unless_the_corner_tells(tmp_path: Path) -> None:
    genes = ["BRCA1", "TP53", "EGFR", "MYC"]
    for corner in ("gene", ""):
        csv_folder(
            tmp_path,
            img=table(IMG[:, :4].T, genes, [corner, *NAMES]),
            txt=table(TXT.T, genes, [corner, *NAMES]),
        )
        if corner:
            assert formats.read(tmp_path).n_samples == 12
    assert "samples could be either; say data.orientation=rows or data.orientation=columns" in refusal(tmp_path)
    assert formats.read(tmp_path, orientation="columns").n_samples == 12


@pytest.mark.parametrize("suffix", ["csv", "txt", "tsv"])
def test_blanks_between_numbers(tmp_path: Path, suffix: str) -> None:
    for name, matrix in {"img": IMG, "txt": TXT, "labels": CODES[:, None]}.items():
        (tmp_path / f"{name}.{suffix}").write_text(" " + text(matrix, "   "))
    check(tmp_path, ["img", "txt"])


def test_r_s_own_tables(tmp_path: Path) -> None:
    names = [f'"{name}"' for name in NAMES]
    csv_folder(
        tmp_path,
        img=table(IMG, names, [f'"V{i}"' for i in range(5)], " "),
        txt=table(TXT[::-1], names[::-1], [f'"V{i}"' for i in range(4)], " "),
    )
    held = check(tmp_path, ["img", "txt"], labelled=False)
    assert held.ids is not None
    assert held.ids.tolist() == NAMES


@pytest.mark.parametrize("heading", ["diet", "species"])
def test_a_heading_of_labels_that_nobody_knows_is_told_by_the_number_of_rows(tmp_path: Path, heading: str) -> None:
    names = [["lin", "ref", "sun"][code] for code in CODES]
    csv_folder(tmp_path, img=text(IMG), txt=text(TXT), labels="\n".join([heading, *names]) + "\n")
    held = check(tmp_path, ["img", "txt"])
    assert held.classes == ("lin", "ref", "sun")
    assert f"labels: the first line, {heading}, is taken for a heading" in held.remarks


def test_text_that_is_neither_ids_nor_labels_is_offered_as_labels(tmp_path: Path) -> None:
    diet = [["lin", "ref", "sun"][code] for code in CODES]
    both = "".join(f"{diet[i]},{row[0]},{row[1]}\n" for i, row in enumerate(IMG.tolist()))
    csv_folder(tmp_path, img="diet,a,b\n" + both, txt=text(TXT))
    held = formats.read(tmp_path)
    assert held.labels is None
    assert held.offered == ("data.labels=diet (3 values)",)
    assert formats.read(tmp_path, labels="diet").classes == ("lin", "ref", "sun")
