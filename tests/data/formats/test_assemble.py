from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import sparse
from scipy.io import savemat

from cmc.data import formats
from cmc.errors import UserError
from tests.data.formats.common import CODES, IMG, RNG, TXT, cell, check, folder_of, refusal

# orientation


def test_transposed_where_every_matrix_is(tmp_path: Path) -> None:
    np.savez(tmp_path / "t.npz", img=IMG.T, txt=TXT.T, labels=CODES)
    check(tmp_path / "t.npz", ["img", "txt"])
    savemat(tmp_path / "t.mat", {"X": cell(IMG.T, sparse.csc_matrix(TXT.T.astype(float))), "Y": CODES})
    check(tmp_path / "t.mat", ["X1", "X2"])
    held = check(folder_of(tmp_path / "f", img=IMG.T, txt=TXT.T, labels=CODES), ["img", "txt"])
    assert type(held.features["img"]) is np.memmap


def test_square_beside_another_follows_the_other(tmp_path: Path) -> None:
    square = RNG.standard_normal((12, 12))
    np.savez(tmp_path / "d_by_n.npz", img=IMG.T, kernel=square, labels=CODES)
    np.testing.assert_array_equal(formats.read(tmp_path / "d_by_n.npz").features["kernel"], square.T)
    np.savez(tmp_path / "n_by_d.npz", img=IMG, kernel=square, labels=CODES)
    np.testing.assert_array_equal(formats.read(tmp_path / "n_by_d.npz").features["kernel"], square)


@pytest.mark.parametrize("labels", [{}, {"labels": CODES}])
def test_all_square_is_asked_for(tmp_path: Path, labels: dict[str, Any]) -> None:
    one, two = RNG.standard_normal((2, 12, 12))
    np.savez(tmp_path / "all.npz", view_0=one, view_1=two, **labels)
    message = refusal(tmp_path / "all.npz")
    assert "every modality is 12 x 12" in message
    assert "data.orientation=rows or data.orientation=columns" in message
    rows = formats.read(tmp_path / "all.npz", orientation="rows")
    np.testing.assert_array_equal(rows.features["view_1"], two)
    columns = formats.read(tmp_path / "all.npz", orientation="columns")
    np.testing.assert_array_equal(columns.features["view_1"], two.T)
    assert columns.source.endswith("all.npz (samples are columns)")


def test_square_of_another_size_than_the_labels_is_a_mistake(tmp_path: Path) -> None:
    np.savez(tmp_path / "all.npz", one=np.eye(12), two=np.eye(12), labels=CODES[:9])
    assert "9 labels for 12 samples" in refusal(tmp_path / "all.npz")


def test_one_shape_for_all_follows_the_labels_and_is_rows_without_them(tmp_path: Path) -> None:
    np.savez(tmp_path / "rows.npz", view_0=IMG, view_1=IMG + 1, labels=CODES)
    assert formats.read(tmp_path / "rows.npz").n_samples == 12
    np.savez(tmp_path / "columns.npz", view_0=IMG.T, view_1=IMG.T + 1, labels=CODES)
    assert formats.read(tmp_path / "columns.npz").n_samples == 12
    np.savez(tmp_path / "none.npz", view_0=IMG, view_1=IMG + 1)
    assert formats.read(tmp_path / "none.npz").n_samples == 12


def test_one_shape_for_all_cells_of_data_without_labels_is_asked_for(tmp_path: Path) -> None:
    savemat(tmp_path / "d.mat", {"data": cell(IMG.T, IMG.T + 1)})
    assert "every modality is 5 x 12" in refusal(tmp_path / "d.mat")
    assert formats.read(tmp_path / "d.mat", orientation="columns").dims == {"data1": 5, "data2": 5}


def test_without_labels_by_the_length_that_all_share(tmp_path: Path) -> None:
    np.savez(tmp_path / "t.npz", img=IMG.T, txt=TXT.T, kernel=np.eye(12))
    held = check(tmp_path / "t.npz", ["img", "txt", "kernel"], labelled=False)
    assert held.source.endswith("(samples are columns)")


def test_labels_of_another_length(tmp_path: Path) -> None:
    np.savez(tmp_path / "rows.npz", img=IMG, txt=TXT, labels=np.arange(13))
    assert "13 labels for 12 samples" in refusal(tmp_path / "rows.npz")
    np.savez(tmp_path / "columns.npz", img=IMG.T, txt=TXT.T, labels=np.arange(13))
    assert "13 labels for 12 samples" in refusal(tmp_path / "columns.npz")
    np.savez(tmp_path / "widths.npz", img=IMG, txt=IMG[1:], labels=CODES)
    assert "modality 'img' has 12 rows, modality 'txt' has 11" in refusal(tmp_path / "widths.npz")


def test_orientation_must_be_one_of_three(tmp_path: Path) -> None:
    np.savez(tmp_path / "v.npz", img=IMG, txt=TXT)
    with pytest.raises(UserError, match=r"data\.orientation: 'row' given; it must be one of auto, rows, columns"):
        formats.read(tmp_path / "v.npz", orientation="row")


def test_orientation_that_is_told_is_obeyed(tmp_path: Path) -> None:
    np.savez(tmp_path / "v.npz", img=IMG, txt=IMG + 1)
    assert formats.read(tmp_path / "v.npz", orientation="columns").n_samples == 5


# what is told by name


def test_features_by_name_in_their_order(tmp_path: Path) -> None:
    np.savez(tmp_path / "v.npz", view_0=IMG[::-1], view_1=TXT[::-1], txt=TXT, img=IMG, labels=CODES)
    held = check(tmp_path / "v.npz", ["img", "txt"], features=["img", "txt"])
    assert held.source.endswith("(not used: 'view_0', 'view_1')")


def test_features_whose_names_mean_something_else(tmp_path: Path) -> None:
    np.savez(tmp_path / "v.npz", X=IMG, Y=TXT, target=CODES[:, None])
    check(tmp_path / "v.npz", ["X", "Y"], features=["X", "Y"], labels="target")
    check(tmp_path / "v.npz", ["X", "Y"], features=["X", "Y"])


@pytest.mark.parametrize("turn", [np.array, np.transpose])
def test_a_vector_asked_for_is_a_modality_of_width_1(tmp_path: Path, turn: Any) -> None:
    np.savez(tmp_path / "v.npz", img=turn(IMG), txt=turn(TXT), age=np.arange(12))
    held = check(tmp_path / "v.npz", ["img", "txt", "age"], features=["img", "txt", "age"], labelled=False)
    np.testing.assert_array_equal(held.features["age"], np.arange(12)[:, None])


def test_labels_by_name(tmp_path: Path) -> None:
    np.savez(tmp_path / "v.npz", img=IMG, txt=TXT, gt=CODES[::-1], Y=CODES[:, None] + 1)
    message = refusal(tmp_path / "v.npz")
    assert "labels under 'Y' and 'gt' differ; keep one of them, or name it in data.labels" in message
    held = check(tmp_path / "v.npz", ["img", "txt"], labels="Y")
    assert held.source.endswith("(not used: 'gt')")


def test_names_that_are_not_there(tmp_path: Path) -> None:
    np.savez(tmp_path / "v.npz", images=IMG, txt=TXT)
    message = refusal(tmp_path / "v.npz", features=["image", "txt"])
    assert "data.features names 'image', which is not in it; did you mean images?" in message
    assert "it holds 'images' 12 x 5, 'txt' 12 x 4" in message
    assert "data.labels names 'class'" in refusal(tmp_path / "v.npz", labels="class")
    assert "'txt' is named in both" in refusal(tmp_path / "v.npz", features=["images", "txt"], labels="txt")


def test_two_series_are_asked_for(tmp_path: Path) -> None:
    np.savez(tmp_path / "v.npz", X1=IMG, X2=TXT, view_0=IMG, view_1=TXT)
    message = refusal(tmp_path / "v.npz")
    assert "modalities under X1, X2 and under view_0, view_1" in message
    assert "data.features=[X1,X2]" in message
    check(tmp_path / "v.npz", ["X1", "X2"], features=["X1", "X2"], labelled=False)


def test_names_of_classes(tmp_path: Path) -> None:
    np.savez(tmp_path / "v.npz", img=IMG, txt=TXT, labels=np.array(["cat", "dog", "hen"])[CODES])
    assert check(tmp_path / "v.npz", ["img", "txt"]).classes == ("cat", "dog", "hen")


# labels that could slip in as a modality, or the other way round


def test_several_classes_a_sample_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "h.npz", img=IMG, txt=TXT, L=np.eye(3)[CODES] + np.eye(3)[CODES[::-1]])
    message = refusal(tmp_path / "h.npz")
    assert "'L' is 12 x 3, but labels are one whole number a sample" in message


def test_column_under_an_unknown_name_is_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "h.npz", img=IMG, txt=TXT, kind=CODES[:, None])
    assert "'kind' is 12 x 1; if it is the labels, say data.labels=kind" in refusal(tmp_path / "h.npz")
    np.savez(tmp_path / "v.npz", view_0=IMG, view_1=TXT, view_2=CODES[:, None])
    assert formats.read(tmp_path / "v.npz").dims["view_2"] == 1


def test_two_sets_of_labels(tmp_path: Path) -> None:
    np.savez(tmp_path / "same.npz", img=IMG, txt=TXT, gt=CODES, Y=CODES[:, None])
    check(tmp_path / "same.npz", ["img", "txt"])
    np.savez(tmp_path / "two.npz", img=IMG, txt=TXT, gt=CODES, Y=CODES[::-1])
    assert "labels under 'Y' and 'gt' differ" in refusal(tmp_path / "two.npz")


def test_checks_of_the_container_name_the_file(tmp_path: Path) -> None:
    bad = IMG.copy()
    bad[7, 3] = np.nan
    np.savez(tmp_path / "bad.npz", view_1=TXT, view_2=bad)
    assert "bad.npz: modality 'view_2', row 7, column 3 is nan:" in refusal(tmp_path / "bad.npz")
    savemat(tmp_path / "bad.mat", {"X": cell(IMG, TXT), "Y": CODES + 0.5})
    assert "bad.mat: labels, row 0 is 0.5:" in refusal(tmp_path / "bad.mat")
    savemat(tmp_path / "len.mat", {"X": cell(IMG, TXT[:-1]), "Y": CODES})
    assert "len.mat: modality 'X1' has 12 rows, modality 'X2' has 11:" in refusal(tmp_path / "len.mat")
