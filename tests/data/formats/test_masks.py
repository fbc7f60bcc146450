"""Masks of what samples have: used where the data agree, asked about where nothing does, refused where they misfit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.io import savemat

from cmc.data import formats
from cmc.data.formats import Told, read_contents, sort_out
from tests.data.formats.common import CODES, IMG, TXT, cell, refusal
from tests.data.formats.test_tables import csv_folder

MASK = np.ones((12, 2), np.uint8)
MASK[[1, 5], 0] = MASK[[2, 7, 8], 1] = 0
ZEROS = {"img": np.where(MASK[:, :1], IMG, 0), "txt": np.where(MASK[:, 1:], TXT, 0)}
WHOLE = {"img": IMG, "txt": TXT}


def lacking(path: Path, **told: Any) -> NDArray[np.bool_]:
    """N x V: what the features lack; what they have must be as it was."""
    found = sort_out(path, read_contents(path), Told(**told))
    for array, given in zip(found.features.values(), (IMG, TXT), strict=True):
        there = ~np.isnan(array.astype(float)).all(1)
        np.testing.assert_array_equal(array[there], given[there])
    return np.stack([np.isnan(array.astype(float)).all(1) for array in found.features.values()], 1)


def save(path: Path, arrays: Any = ZEROS, **more: Any) -> Path:
    np.savez(path / "x.npz", **arrays, **more)
    return path / "x.npz"


@pytest.mark.parametrize("name", ["mask", "W", "presence", "whatever"])
@pytest.mark.parametrize("turned", [False, True])
def test_rows_of_zeros_under_a_mask_are_gaps(tmp_path: Path, name: str, turned: bool) -> None:
    if name == "whatever" and turned:  # a matrix of twelve columns is a modality
        return
    path = save(tmp_path, **{name: MASK.T if turned else MASK}, labels=CODES)
    told = {"features": ["img", "txt"]} if name == "whatever" else {}
    np.testing.assert_array_equal(lacking(path, **told), MASK == 0)
    found = formats.read(path, incomplete="drop", **told)
    assert found.remarks[0] == f"{name} says which samples have what; of 12 samples lack: img 2, txt 3"
    assert found.n_samples == 7
    assert "not used" not in found.source


def test_views_of_a_series_and_cells_of_matlab(tmp_path: Path) -> None:
    savemat(tmp_path / "x.mat", {"X": cell(*ZEROS.values()), "Y": CODES, "W": MASK.astype(float)})
    np.testing.assert_array_equal(lacking(tmp_path / "x.mat"), MASK == 0)


def test_ones_say_what_is_missing_where_the_name_says_so(tmp_path: Path) -> None:
    np.testing.assert_array_equal(lacking(save(tmp_path, missing=MASK == 0)), MASK == 0)


def test_a_vector_for_each_modality(tmp_path: Path) -> None:
    path = save(tmp_path, has_img=MASK[:, 0] == 1, txt_mask=MASK[:, 1])
    np.testing.assert_array_equal(lacking(path), MASK == 0)


def test_gaps_are_where_the_rows_are_nan_already(tmp_path: Path) -> None:
    there = {name: np.where(MASK[:, i : i + 1], x, np.nan) for i, (name, x) in enumerate(WHOLE.items())}
    np.testing.assert_array_equal(lacking(save(tmp_path, there, mask=MASK)), MASK == 0)


def test_a_table_s_headings_and_ids_say_whose_the_columns_and_rows_are(tmp_path: Path) -> None:
    ids = [f"s{i}" for i in range(12)]
    order = np.random.default_rng(0).permutation(12)
    csv_folder(
        tmp_path,
        left=_table(ZEROS["img"], ids, [f"f{i}" for i in range(5)]),
        right=_table(ZEROS["txt"], ids, [f"f{i}" for i in range(4)]),
        presence=_table(MASK[order][:, ::-1], [ids[i] for i in order], ["right", "left"]),
    )
    np.testing.assert_array_equal(lacking(tmp_path), MASK == 0)


def _table(matrix: Any, ids: list[str], heads: list[str]) -> str:
    lines = [",".join(["id", *heads])]
    return "\n".join([*lines, *(",".join([i, *map(repr, row)]) for i, row in zip(ids, matrix.tolist(), strict=True))])


@pytest.mark.parametrize("name", ["mask", "folds"])
def test_a_mask_that_nothing_agrees_with_is_asked_about(tmp_path: Path, name: str) -> None:
    path = save(tmp_path, WHOLE, **{name: MASK})
    message = refusal(path)
    assert f"{name!r} is 12 x 2 of 0 and 1, a mask of what samples have, it seems, but where it says" in message
    assert f"(5 times) are numbers: data.mask={name} takes these away, data.mask=false does not use it" in message
    np.testing.assert_array_equal(lacking(path, mask=name), MASK == 0)
    assert not lacking(path, mask=False).any()


def test_a_mask_of_ones_says_nothing(tmp_path: Path) -> None:
    assert not lacking(save(tmp_path, WHOLE, mask=np.ones((12, 2)))).any()


def test_rows_of_zeros_without_a_mask_are_numbers(tmp_path: Path) -> None:
    found = formats.read(save(tmp_path))
    assert not any(np.isnan(array.astype(float)).any() for array in found.features.values())


@pytest.mark.parametrize(
    ("mask", "said"),
    [
        (MASK[:11], "'mask', the mask, has 11 rows, 'img' has 12; data.mask=false does not use it"),
        (
            np.ones((12, 3)),
            "'mask', the mask, is 12 x 3: of these data it must be 12 x 2, a column for each of img, txt",
        ),
        (3 * MASK, "'mask', the mask, is 3 in row 0 (counted from 0), and must be 0 or 1"),
        (np.where(MASK, 1.0, np.nan), "'mask', the mask, is nan in row 1 (counted from 0), and must be 0 or 1"),
        (np.array(["a", "b"] * 6), "'mask', the mask, holds no numbers"),
    ],
)
def test_masks_that_do_not_fit(tmp_path: Path, mask: Any, said: str) -> None:
    path = save(tmp_path, ZEROS, mask=mask)
    assert said in refusal(path, features=["img", "txt"], mask="mask")
    assert not lacking_at_all(path)


def lacking_at_all(path: Path) -> bool:
    found = formats.read(path, features=["img", "txt"], mask=False)
    return any(np.isnan(array.astype(float)).any() for array in found.features.values())


def test_a_name_that_is_not_there(tmp_path: Path) -> None:
    assert "data.mask names 'maks', which is not in it; did you mean mask?" in refusal(
        save(tmp_path, mask=MASK), mask="maks"
    )


def test_masks_that_differ(tmp_path: Path) -> None:
    other = MASK.copy()
    other[1, 0] = 1
    path = save(tmp_path, mask=MASK, present=other)
    assert "masks under 'mask', 'present' differ; say which, data.mask=mask" in refusal(path)
    assert formats.read(path, mask="present", incomplete="drop").n_samples == 8
