"""Labels under names that nobody announced, one-hot, of a part of the samples; and train and test parts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.io import savemat

from cmc.data import formats
from cmc.data.modalities import Modalities
from cmc.data.module import DataModule
from cmc.errors import UserError
from tests.data.formats.common import CODES, IMG, RNG, TXT, cell, check, refusal


@pytest.mark.parametrize("name", ["target", "classLabel", "class", "Labels", "GT", "ground_truth", "y_true"])
def test_names_that_labels_bear(tmp_path: Path, name: str) -> None:
    np.savez(tmp_path / "v.npz", img=IMG, txt=TXT, **{name: CODES})
    check(tmp_path / "v.npz", ["img", "txt"])


def test_a_known_name_comes_before_one_that_labels_may_bear(tmp_path: Path) -> None:
    np.savez(tmp_path / "v.npz", img=IMG, txt=TXT, labels=CODES, target=CODES[::-1])
    check(tmp_path / "v.npz", ["img", "txt"])


def test_a_vector_under_another_name_is_named_where_k_is_asked_for(tmp_path: Path) -> None:
    np.savez(tmp_path / "v.npz", IMG, TXT, CODES)

    class Read(DataModule):
        def read(self) -> Modalities:
            return formats.read(tmp_path / "v.npz")

    with pytest.raises(UserError, match=r"give data\.n_clusters=K, or .* data\.labels=arr_2 \(3 values\)"):
        Read().load()
    check(tmp_path / "v.npz", ["arr_0", "arr_1"], labels="arr_2")


@pytest.mark.parametrize("name", ["labels", "target", "L"])
@pytest.mark.parametrize("turn", [np.asarray, np.transpose])
def test_one_hot_under_a_name_of_labels_is_decoded(tmp_path: Path, name: str, turn: Any) -> None:
    np.savez(tmp_path / "v.npz", img=IMG, txt=TXT, **{name: turn(np.eye(3)[CODES])})
    held = check(tmp_path / "v.npz", ["img", "txt"])
    assert any("is one-hot" in remark for remark in held.remarks)


def test_one_hot_under_another_name_is_asked_about(tmp_path: Path) -> None:
    np.savez(tmp_path / "v.npz", img=IMG, txt=TXT, kind=np.eye(3)[CODES])
    message = refusal(tmp_path / "v.npz")
    assert "data.labels=kind; if a modality, data.features=[img,txt,kind]" in message
    check(tmp_path / "v.npz", ["img", "txt"], labels="kind")
    assert formats.read(tmp_path / "v.npz", features=["img", "txt", "kind"]).dims["kind"] == 3
    savemat(tmp_path / "x.mat", {"X": cell(IMG, TXT, np.eye(3)[CODES])})
    assert "data.labels=X3" in refusal(tmp_path / "x.mat")


def test_one_hot_that_the_labels_say_is_none_is_a_modality(tmp_path: Path) -> None:
    season = np.eye(2)[np.repeat([0, 1, 0], 4)]
    np.savez(tmp_path / "v.npz", img=IMG, season=season, labels=CODES)
    assert formats.read(tmp_path / "v.npz").dims == {"img": 5, "season": 2}


@pytest.mark.parametrize(
    "given",
    [
        np.where(np.arange(12) < 6, CODES, -1),
        np.where(np.arange(12) < 6, CODES, np.nan),
        np.where(np.arange(12) < 6, np.array(["cat", "dog", "owl"])[CODES], ""),
    ],
)
def test_samples_without_a_label(tmp_path: Path, given: Any) -> None:
    np.savez(tmp_path / "v.npz", view_0=IMG, view_1=TXT, labels=given)
    held = formats.read(tmp_path / "v.npz")
    assert held.labels is not None
    assert held.labels.tolist() == [*CODES[:6].tolist(), *[-1] * 6]
    assert (held.n_classes, held.n_labelled) == (3, 6)


def test_nothing_but_marks_are_no_labels(tmp_path: Path) -> None:
    np.savez(tmp_path / "v.npz", view_0=IMG, view_1=TXT, labels=np.full(12, -1))
    assert formats.read(tmp_path / "v.npz").labels is None


@pytest.mark.parametrize("values", [(-1, 1), (-2, -1, 1), (-1, 0)])
def test_minus_one_is_a_class_where_it_is_one_of_two_or_beside_others_below_0(values: tuple[int, ...]) -> None:
    labels = np.resize(values, 12)
    assert Modalities({"a": IMG, "b": TXT}, labels).n_classes == len(values)


def split(sizes: tuple[int, int], **names: str) -> dict[str, Any]:
    parts = {}
    for part, n in zip(("tr", "te"), sizes, strict=True):
        ending = names.get(part, f"_{part}")
        parts |= {f"I{ending}": RNG.random((n, 5)), f"T{ending}": RNG.random((n, 4)), f"L{ending}": np.arange(n) % 3}
    return parts


@pytest.mark.parametrize("sizes", [(12, 12), (12, 9)])
@pytest.mark.parametrize(
    "names", [{}, {"tr": "_train", "te": "_test"}, {"tr": "tr", "te": "te"}, {"tr": "Train", "te": "Test"}]
)
def test_parts_are_splits_of_the_same_modalities(tmp_path: Path, sizes: tuple[int, int], names: dict[str, str]) -> None:
    parts = split(sizes, **names)
    savemat(tmp_path / "w.mat", parts)
    held = formats.read(tmp_path / "w.mat")
    assert held.dims == {"I": 5, "T": 4}
    assert held.held_out is not None
    assert held.held_out.tolist() == list(range(12, sum(sizes)))
    assert held.n_labelled == sum(sizes)
    test = formats.read(tmp_path / "w.mat", split="test")
    np.testing.assert_array_equal(test.features["T"], parts[f"T{names.get('te', '_te')}"])
    assert (test.held_out, formats.read(tmp_path / "w.mat", split="all").held_out) == (None, None)


def test_train_is_what_is_trained_on_and_the_other_is_held_out(tmp_path: Path) -> None:
    parts = split((12, 9))
    np.savez(tmp_path / "w.npz", **parts)

    class Read(DataModule):
        def read(self) -> Modalities:
            return formats.read(tmp_path / "w.npz")

    data = Read(scaling="none")
    data.load()
    np.testing.assert_allclose(data.pass_over().whole().modalities[0].numpy(), parts["I_tr"], rtol=1e-6)
    np.testing.assert_allclose(data.pass_over(held_out=True).whole().modalities[1].numpy(), parts["T_te"], rtol=1e-6)
    assert data.held_labels is not None
    assert data.held_labels.tolist() == parts["L_te"].tolist()
    with pytest.raises(UserError, match="the data have a test part"):
        Read(holdout=0.2).load()


def test_parts_of_one_modality_are_not_two(tmp_path: Path) -> None:
    np.savez(tmp_path / "w.npz", X_train=IMG, X_test=IMG + 1, y_train=CODES, y_test=CODES)
    assert "of 'X' there are a training and a test part, and no other modality" in refusal(tmp_path / "w.npz")


def test_a_test_part_without_labels_is_held_out_and_not_scored(tmp_path: Path) -> None:
    parts = split((12, 9))
    del parts["L_te"]
    np.savez(tmp_path / "w.npz", **parts)
    held = formats.read(tmp_path / "w.npz")
    assert (held.n_labelled, held.n_samples) == (12, 21)


def test_rows_of_nan_are_gaps_and_are_dropped_where_told(tmp_path: Path) -> None:
    gaps = IMG.copy()
    gaps[[2, 5]] = np.nan
    np.savez(tmp_path / "v.npz", view_0=gaps, view_1=TXT, labels=CODES)
    assert formats.read(tmp_path / "v.npz").lacking == {"view_0": 2}
    held = formats.read(tmp_path / "v.npz", incomplete="drop")
    kept = np.delete(np.arange(12), [2, 5])
    np.testing.assert_array_equal(held.features["view_1"], TXT[kept])
    np.testing.assert_array_equal(held.labels, CODES[kept])


def test_pictures_are_flattened(tmp_path: Path) -> None:
    pixels = RNG.integers(0, 255, (12, 4, 2, 1)).astype(np.uint8)
    np.savez(tmp_path / "v.npz", view_0=pixels, view_1=pixels[..., 0], labels=CODES)
    held = formats.read(tmp_path / "v.npz")
    np.testing.assert_array_equal(held.features["view_0"], pixels.reshape(12, 8))
    said = "view_1: 12 x 4 x 2 is flattened to 12 x 8; as pictures it is seen with method.encoder={view_1: conv}"
    assert said in held.remarks
    assert held.shapes["view_1"] == (4, 2)


def test_masks_are_no_modalities(tmp_path: Path) -> None:
    masks = (RNG.random((12, 2)) < 0.7).astype(float)
    savemat(tmp_path / "m.mat", {"folds": cell(masks, masks[::-1])})
    assert "which says of each sample what it has: no modality" in refusal(tmp_path / "m.mat")


def test_structs_and_nested_cells_are_read(tmp_path: Path) -> None:
    savemat(tmp_path / "s.mat", {"dataset": {"X": cell(IMG, TXT), "Y": CODES}})
    check(tmp_path / "s.mat", ["X1", "X2"])
    savemat(tmp_path / "f.mat", {"data": {"img": IMG, "txt": TXT}, "gt": CODES[:, None]})
    check(tmp_path / "f.mat", ["img", "txt"])
    nested = np.empty((1, 1), dtype=object)
    nested[0, 0] = cell(IMG, TXT)
    savemat(tmp_path / "n.mat", {"X": nested, "Y": CODES})
    check(tmp_path / "n.mat", ["X1", "X2"])
