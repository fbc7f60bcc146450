from __future__ import annotations

import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import sparse
from scipy.io import savemat

from cmc.data import formats
from cmc.errors import UserError
from tests.data.formats.common import CODES, IMG, TXT, cell, check, folder_of, refusal

# .npz


@pytest.mark.parametrize("first", [0, 1])
@pytest.mark.parametrize("extra", [{}, {"n_views": 2}, {"n_views": [2]}])
def test_npz_of_views(tmp_path: Path, first: int, extra: dict[str, Any]) -> None:
    names = [f"view_{first}", f"view_{first + 1}"]
    np.savez(tmp_path / "v.npz", **{names[1]: TXT, names[0]: IMG}, labels=CODES + 1, **extra)
    held = check(tmp_path / "v.npz", names)
    assert held.classes == ("1", "2", "3")
    assert held.source == str(tmp_path / "v.npz")


def test_npz_of_many_views_in_their_order(tmp_path: Path) -> None:
    views = {f"view_{i}": np.full((3, i + 1), i) for i in reversed(range(12))}
    np.savez(tmp_path / "v.npz", **views, n_views=12)
    assert list(formats.read(tmp_path / "v.npz").dims.items()) == [(f"view_{i}", i + 1) for i in range(12)]


@pytest.mark.parametrize("key", ["labels", "label", "Y", "y", "gt", "truth", "L"])
def test_npz_of_named_arrays(tmp_path: Path, key: str) -> None:
    np.savez_compressed(tmp_path / "n.npz", img=IMG, txt=TXT, **{key: CODES.astype(float)[:, None]})
    check(tmp_path / "n.npz", ["img", "txt"])


def test_form_is_told_by_content(tmp_path: Path) -> None:
    np.savez(tmp_path / "v.npz", img=IMG, txt=TXT)
    (tmp_path / "v.npz").rename(tmp_path / "v.mat")
    check(tmp_path / "v.mat", ["img", "txt"], labelled=False)
    savemat(tmp_path / "w.mat", {"X1": IMG, "X2": TXT})
    (tmp_path / "w.mat").rename(tmp_path / "w.npz")
    check(tmp_path / "w.npz", ["X1", "X2"], labelled=False)


def test_what_is_not_used_is_named(tmp_path: Path) -> None:
    np.savez(tmp_path / "v.npz", view_0=IMG, view_1=TXT, late=IMG, names=np.full(12, "a"))
    held = check(tmp_path / "v.npz", ["view_0", "view_1"], labelled=False)
    assert held.source == f"{tmp_path / 'v.npz'} (not used: 'late', 'names')"


def test_of_many_that_are_not_used_the_number_is_told(tmp_path: Path) -> None:
    others = {f"run{i}_conf": np.arange(2) for i in range(50)}
    savemat(tmp_path / "v.mat", {"X1": IMG, "X2": TXT, **others})
    held = check(tmp_path / "v.mat", ["X1", "X2"], labelled=False)
    assert held.source.endswith("'run17_conf', 'run18_conf' and 40 more)")


def test_npz_n_views_that_does_not_fit(tmp_path: Path) -> None:
    np.savez(tmp_path / "v.npz", view_0=IMG, view_2=TXT, n_views=3)
    assert "n_views is 3, but of view_0, view_1, ... it holds view_0, view_2" in refusal(tmp_path / "v.npz")


def test_npz_with_python_objects_is_never_unpickled(tmp_path: Path) -> None:
    bomb = np.array([Bomb()], dtype=object)
    np.savez(tmp_path / "v.npz", img=IMG, txt=TXT, extra=bomb)
    message = refusal(tmp_path / "v.npz")
    assert "array 'extra'" in message
    assert "Python objects" in message
    with zipfile.ZipFile(tmp_path / "w.npz", "w") as archive:
        archive.writestr("img.npy", pickle.dumps(Bomb()))
    assert "'img'" in refusal(tmp_path / "w.npz")
    (tmp_path / "p.npz").write_bytes(pickle.dumps(Bomb()))
    assert "a pickle, and loading it could run any code" in refusal(tmp_path / "p.npz")
    (tmp_path / "folder").mkdir()
    np.save(tmp_path / "folder" / "img.npy", bomb)
    with pytest.raises(UserError, match=r"folder/img\.npy: holds Python objects"):
        formats.read(tmp_path / "folder")


class Bomb:
    def __reduce__(self) -> tuple[Any, ...]:
        return pytest.fail, ("unpickled",)


def test_zip_of_something_else(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "d.zip", "w") as archive:
        archive.writestr("img.mat", b"MATLAB 5.0")
    message = refusal(tmp_path / "d.zip")
    assert "'img.mat' in it is no NumPy array" in message
    assert "unpack" in message


# .mat


@pytest.mark.parametrize("key", ["Y", "gt", "truth", "labels", "y"])
@pytest.mark.parametrize("compressed", [False, True])
def test_mat_of_cells(tmp_path: Path, key: str, compressed: bool) -> None:
    savemat(tmp_path / "c.mat", {"X": cell(IMG, TXT), key: CODES[:, None] + 1.0}, do_compression=compressed)
    held = check(tmp_path / "c.mat", ["X1", "X2"])
    assert held.features["X2"].dtype == np.uint8


def test_mat_of_a_column_of_cells(tmp_path: Path) -> None:
    savemat(tmp_path / "c.mat", {"X": cell(IMG, TXT).T, "Y": CODES})
    check(tmp_path / "c.mat", ["X1", "X2"])


@pytest.mark.usefixtures("apart")
def test_mat_of_sparse_cells(tmp_path: Path) -> None:
    thin = IMG * (IMG > 1)
    savemat(tmp_path / "s.mat", {"X": cell(sparse.csc_matrix(thin), TXT), "Y": CODES})
    held = formats.read(tmp_path / "s.mat")
    assert type(held.features["X1"]) is np.ndarray
    np.testing.assert_array_equal(held.features["X1"], thin)


@pytest.mark.parametrize("labels", [CODES[None, :], CODES[:, None] + 1, CODES[:, None].astype(float)])
def test_mat_of_numbered_matrices(tmp_path: Path, labels: NDArray[Any]) -> None:
    savemat(tmp_path / "x.mat", {"Y": labels, "X2": TXT, "X1": IMG})
    check(tmp_path / "x.mat", ["X1", "X2"])


def test_mat_of_many_numbered_matrices_in_their_order(tmp_path: Path) -> None:
    savemat(tmp_path / "x.mat", {f"X{i}": np.ones((3, i)) for i in range(1, 12)})
    assert list(formats.read(tmp_path / "x.mat").dims.values()) == list(range(1, 12))


def test_mat_of_named_matrices_beside_scalars_vectors_and_text(tmp_path: Path) -> None:
    extra = {"K": 3, "order": np.arange(12), "note": "made by hand", "names": cell("a", "b")}
    savemat(tmp_path / "n.mat", {"img": IMG, "txt": TXT, "L": CODES[:, None] + 1, **extra})
    held = check(tmp_path / "n.mat", ["img", "txt"])
    assert held.source.endswith("(not used: 'K', 'names', 'note', 'order')")


def test_mat_of_what_is_no_matrix(tmp_path: Path) -> None:
    """A cell that holds more than numbers and text is not used either, its numbers included."""
    options = {"options": {"rate": 0.1}, "steps": cell(IMG, np.array([(1, 2.0)], [("a", int), ("b", float)]))}
    savemat(tmp_path / "n.mat", {"img": IMG, "txt": TXT, **options})
    held = check(tmp_path / "n.mat", ["img", "txt"], labelled=False)
    assert held.source.endswith("(not used: 'options', 'steps')")


@pytest.mark.usefixtures("apart")
@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("compressed", [False, True])
def test_mat_that_ends_within_what_is_not_read(tmp_path: Path, compressed: bool) -> None:
    savemat(tmp_path / "x.mat", {"img": IMG, "txt": TXT, "zz": {"name": "a"}}, do_compression=compressed)
    whole = (tmp_path / "x.mat").read_bytes()
    check(tmp_path / "x.mat", ["img", "txt"], labelled=False)
    (tmp_path / "x.mat").write_bytes(whole[:-1])
    assert "a variable of " in refusal(tmp_path / "x.mat")


@pytest.mark.usefixtures("apart")
def test_mat_v4(tmp_path: Path) -> None:
    savemat(tmp_path / "4.mat", {"X1": IMG, "X2": TXT.astype(float), "Y": CODES}, format="4")
    check(tmp_path / "4.mat", ["X1", "X2"])


@pytest.mark.usefixtures("apart")
def test_mat_with_a_header_that_is_no_text(tmp_path: Path) -> None:
    savemat(tmp_path / "x.mat", {"X1": IMG, "X2": TXT, "Y": CODES})
    content = bytearray((tmp_path / "x.mat").read_bytes())
    content[:60] = b"\xb5\xff" * 30
    (tmp_path / "x.dat").write_bytes(content)
    check(tmp_path / "x.dat", ["X1", "X2"])


def test_mat_of_a_cell_of_columns(tmp_path: Path) -> None:
    labels = CODES[:, None] + 1
    for told in ({"truth": labels}, {"truelabel": cell(labels, labels.T)}):
        savemat(tmp_path / "d.mat", {"data": cell(IMG.T, TXT.T), **told})
        assert "samples are columns" in check(tmp_path / "d.mat", ["data1", "data2"]).source
    savemat(tmp_path / "d.mat", {"data": cell(IMG.T, TXT.T), "truelabel": cell(labels, labels[::-1])})
    assert "the labels truelabel{1} and truelabel{2} differ" in refusal(tmp_path / "d.mat")


@pytest.mark.parametrize("dtype", ["u1", "u2", "i4", "i8", "f4", "f8"])
def test_mat_of_any_dtype(tmp_path: Path, dtype: str) -> None:
    savemat(tmp_path / "t.mat", {"X": cell(TXT.astype(dtype), TXT), "Y": CODES.astype(dtype)})
    held = formats.read(tmp_path / "t.mat")
    assert held.features["X1"].dtype == dtype
    np.testing.assert_array_equal(held.features["X1"], TXT)
    np.testing.assert_array_equal(held.labels, CODES)


@pytest.mark.usefixtures("apart")
def test_mat_of_names_of_classes(tmp_path: Path) -> None:
    names = [["cat", "mouse", "hen"][code] for code in CODES]
    for told in (np.array(names, dtype=object)[:, None], np.array(names)):
        savemat(tmp_path / "c.mat", {"X": cell(IMG, TXT), "Y": told})
        held = formats.read(tmp_path / "c.mat")
        assert held.labels is not None
        assert held.classes is not None
        assert [held.classes[code].strip() for code in held.labels] == names


def test_mat_whose_cells_are_named_like_another_variable(tmp_path: Path) -> None:
    savemat(tmp_path / "c.mat", {"X": cell(IMG, TXT), "X1": IMG})
    assert "both a cell of an array and a variable are 'X1'" in refusal(tmp_path / "c.mat")


@pytest.mark.usefixtures("apart")
def test_mat_with_a_sparse_matrix_that_points_outside(tmp_path: Path) -> None:
    thin = sparse.csc_matrix(np.eye(12))
    thin.indices[5] = 10**6
    savemat(tmp_path / "s.mat", {"X1": thin, "X2": TXT})
    assert "cut short or damaged" in refusal(tmp_path / "s.mat")


# folders


def test_folder_is_mapped(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "f", img=IMG, txt=np.asfortranarray(TXT), labels=CODES + 5)
    (folder / "._img.npy").write_bytes(b"left behind by a file browser")
    (folder / "README.txt").write_text("nothing")
    held = check(folder, ["img", "txt"])
    assert all(type(view) is np.memmap for view in held.features.values())
    with pytest.raises(ValueError, match="read-only"):
        held.features["img"][0, 0] = 1


def test_folder_without_labels(tmp_path: Path) -> None:
    check(folder_of(tmp_path / "f", img=IMG, txt=TXT), ["img", "txt"], labelled=False)


def test_folder_with_nothing_readable(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("1,2")
    message = refusal(tmp_path)
    assert "nothing readable in it" in message
    assert all(form in message for form in (".npz", ".mat", "folder of .npy"))


def test_folder_with_a_damaged_file(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "f", img=IMG, txt=TXT)
    whole = (folder / "txt.npy").read_bytes()
    for length in (0, 3, 40, len(whole) - 1):
        (folder / "txt.npy").write_bytes(whole[:length])
        with pytest.raises(UserError, match=r"f/txt\.npy: cannot be read as a NumPy array; cut short or damaged\?"):
            formats.read(folder)


def test_single_array_is_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "img.npy", IMG)
    assert "one .npy file for each modality into a folder" in refusal(tmp_path / "img.npy")


# real data, where they are


@pytest.mark.usefixtures("apart")
@pytest.mark.parametrize(
    ("file", "n_samples", "dims", "n_classes"),
    [
        ("mnist_usps.mat", 5000, {"X1": 784, "X2": 784}, 10),
        ("handwritten.mat", 2000, {"X1": 240, "X2": 76, "X3": 216, "X4": 47, "X5": 64, "X6": 6}, 10),
        ("event.npz", 1579, {"view_0": 1000, "view_1": 1000, "view_2": 1000}, 8),
    ],
)
def test_real_data(real_data: Path, file: str, n_samples: int, dims: dict[str, int], n_classes: int) -> None:
    held = formats.read(real_data / file)
    assert held.n_samples == n_samples
    assert held.dims == dims
    assert held.n_classes == n_classes
    assert held.source == str(real_data / file)
