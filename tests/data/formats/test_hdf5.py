"""Files as MATLAB v7.3 lays them out, and as anyone else would; both written by h5py alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import sparse

from cmc.data import formats
from tests.data.formats.common import CODES, IMG, RNG, TXT, check, refusal

HEADER = b"MATLAB 7.3 MAT-file, Platform: GLNXA64, Created on: Mon Jan  5 10:00:00 2026 HDF5 schema 1.00 ."
CLASSES = {"f8": "double", "f4": "single", "u1": "uint8", "u2": "uint16", "i4": "int32", "i8": "int64"}


class Matlab:
    """What ``save('-v7.3')`` writes: axes reversed, cells as references into #refs#, and 512 bytes before it all."""

    def __init__(self, path: Path, header: bytes = HEADER) -> None:
        self.path = path
        self.header = header

    def __enter__(self) -> Matlab:
        self.file = h5py.File(self.path, "w", userblock_size=512)
        self.references = self.file.create_group("#refs#")
        self.references.create_dataset("a", data=np.zeros(2, np.uint64)).attrs["MATLAB_empty"] = np.uint8(1)
        return self

    def __exit__(self, *error: object) -> None:
        self.file.close()
        with self.path.open("r+b") as file:
            file.write(self.header.ljust(116) + bytes(8) + b"\x00\x02IM")

    def save(self, name: str, value: Any, group: Any = None) -> Any:
        group = self.file if group is None else group
        if isinstance(value, list):
            cells = [self.save(f"{name}_{i}", cell, self.references).ref for i, cell in enumerate(value)]
            item = group.create_dataset(name, data=np.array(cells, h5py.ref_dtype)[:, None], dtype=h5py.ref_dtype)
            kind = "cell"
        elif isinstance(value, str):
            item, kind = group.create_dataset(name, data=np.array([[ord(c)] for c in value], np.uint16)), "char"
            item.attrs["MATLAB_int_decode"] = np.int32(2)
        elif sparse.issparse(value):
            item, kind = group.create_group(name), "double"
            item.attrs["MATLAB_sparse"] = np.uint64(value.shape[0])
            if value.nnz:
                item["data"], item["ir"] = value.data, value.indices.astype(np.uint64)
            item["jc"] = value.indptr.astype(np.uint64)
        else:
            item, kind = group.create_dataset(name, data=value.T), CLASSES[value.dtype.str[1:]]
        item.attrs["MATLAB_class"] = np.bytes_(kind)
        return item


def matlab(path: Path, **variables: Any) -> Path:
    with Matlab(path) as file:
        for name, value in variables.items():
            file.save(name, value)
    return path


# MATLAB v7.3


@pytest.mark.parametrize("key", ["Y", "gt", "truth", "labels", "y", "gnd"])
def test_cells(tmp_path: Path, key: str) -> None:
    held = check(matlab(tmp_path / "c.mat", X=[IMG, TXT], **{key: CODES[:, None] + 1.0}), ["X1", "X2"])
    assert held.features["X2"].dtype == np.uint8
    assert held.classes == ("1", "2", "3")
    assert held.source == str(tmp_path / "c.mat")


@pytest.mark.parametrize("labels", [CODES[None, :], CODES[:, None] + 1, CODES[:, None].astype(np.uint8)])
def test_numbered_matrices(tmp_path: Path, labels: NDArray[Any]) -> None:
    check(matlab(tmp_path / "x.mat", X1=IMG, X2=TXT, Y=labels), ["X1", "X2"])


def test_matrices_are_turned_back_without_help_from_labels(tmp_path: Path) -> None:
    matlab(tmp_path / "x.mat", X1=IMG, X2=IMG + 1)
    np.testing.assert_array_equal(formats.read(tmp_path / "x.mat").features["X2"], IMG + 1)


def test_many_cells_in_their_order(tmp_path: Path) -> None:
    matlab(tmp_path / "x.mat", X=[np.full((3, i), float(i)) for i in range(2, 14)])
    assert list(formats.read(tmp_path / "x.mat").dims.values()) == list(range(2, 14))


@pytest.mark.usefixtures("apart")
@pytest.mark.parametrize("key", ["truth", "truelabel"])
def test_cells_of_columns(tmp_path: Path, key: str) -> None:
    labels = CODES[:, None] + 1.0
    told = [labels, labels.T] if key == "truelabel" else labels
    held = check(matlab(tmp_path / "d.mat", data=[IMG.T, TXT.T], **{key: told}), ["data1", "data2"])
    assert "samples are columns" in held.source


@pytest.mark.usefixtures("apart")
def test_sparse_cells(tmp_path: Path) -> None:
    thin = RNG.standard_normal((12, 7)) * (RNG.random((12, 7)) > 0.7)
    nothing = sparse.csc_matrix((12, 3))
    matlab(tmp_path / "s.mat", X=[sparse.csc_matrix(thin), nothing, TXT], Y=CODES[:, None])
    held = formats.read(tmp_path / "s.mat")
    assert type(held.features["X1"]) is np.ndarray
    np.testing.assert_array_equal(held.features["X1"], thin)
    np.testing.assert_array_equal(held.features["X2"], np.zeros((12, 3)))


@pytest.mark.usefixtures("apart")
def test_sparse_that_points_outside_is_damaged(tmp_path: Path) -> None:
    with Matlab(tmp_path / "s.mat") as file:
        file.save("X1", sparse.csc_matrix(np.eye(12)))["ir"][5] = 10**6
        file.save("X2", TXT)
    assert "damaged" in refusal(tmp_path / "s.mat")


@pytest.mark.usefixtures("apart")
def test_what_is_no_matrix_is_named(tmp_path: Path) -> None:
    with Matlab(tmp_path / "n.mat") as file:
        for name, value in {
            "img": IMG,
            "txt": TXT,
            "L": CODES[:, None],
            "note": "by hand",
            "names": ["a", "b"],
        }.items():
            file.save(name, value)
        file.file.create_group("options").attrs["MATLAB_class"] = np.bytes_("struct")
        empty = file.file.create_dataset("rest", data=np.array([0, 5], np.uint64))
        empty.attrs.update({"MATLAB_class": np.bytes_("double"), "MATLAB_empty": np.uint8(1)})
        object_ = file.file.create_dataset("text", data=np.arange(6, dtype=np.uint32)[None])
        object_.attrs.update({"MATLAB_class": np.bytes_("string"), "MATLAB_object_decode": np.int32(3)})
        file.file.create_group("#subsystem#")
    arrays = formats.read_arrays(tmp_path / "n.mat")
    assert set(arrays) == {"img", "txt", "L", "note", "names", "options", "rest", "text"}
    assert arrays["rest"].size == 0
    told = formats.read(tmp_path / "n.mat", features=["img", "txt"])
    assert told.source.endswith("(not used: 'names', 'note', 'options', 'rest', 'text')")
    np.testing.assert_array_equal(told.features["txt"], TXT)


def test_names_of_classes_as_a_cell(tmp_path: Path) -> None:
    names = [["cat", "dog", "hen"][code] for code in CODES]
    assert check(matlab(tmp_path / "c.mat", X=[IMG, TXT], Y=names), ["X1", "X2"]).classes == ("cat", "dog", "hen")


def test_header_that_is_no_text(tmp_path: Path) -> None:
    with Matlab(tmp_path / "x.mat", header=b"\xb5\xff" * 50) as file:
        for name, value in {"X1": IMG, "X2": IMG + 1}.items():
            file.save(name, value)
    np.testing.assert_array_equal(formats.read(tmp_path / "x.mat").features["X1"], IMG)


def test_truelabels_that_differ(tmp_path: Path) -> None:
    labels = CODES[:, None] + 1.0
    matlab(tmp_path / "d.mat", data=[IMG.T, TXT.T], truelabel=[labels, labels[::-1]])
    assert "the labels truelabel{1} and truelabel{2} differ" in refusal(tmp_path / "d.mat")


# any other HDF5


@pytest.mark.parametrize("groups", [("", ""), ("features/", ""), ("a/", "b/c/")])
def test_plain(tmp_path: Path, groups: tuple[str, str]) -> None:
    with h5py.File(tmp_path / "p.h5", "w") as file:
        file[f"{groups[0]}img"], file[f"{groups[0]}txt"] = IMG, TXT
        file[f"{groups[1]}labels"] = CODES + 1
    check(tmp_path / "p.h5", ["img", "txt"])


def test_plain_is_not_transposed(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "p.h5", "w") as file:
        file["view_0"], file["view_1"] = IMG, IMG + 1
    np.testing.assert_array_equal(formats.read(tmp_path / "p.h5").features["view_0"], IMG)


def test_plain_that_names_twice(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "p.h5", "w") as file:
        for part, rows in (("train", slice(None)), ("test", slice(3))):
            file[f"{part}/img"], file[f"{part}/txt"], file[f"{part}/labels"] = IMG[rows], TXT[rows], CODES[rows]
    names = ["train/img", "train/txt"]
    check(tmp_path / "p.h5", names, features=names, labels="train/labels")


def test_plain_names_of_classes_and_what_is_no_array(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "p.h5", "w") as file:
        file["img"], file["txt"] = IMG, TXT
        file["labels"] = [["chat", "chien", "poule é"][code] for code in CODES]
        file["none"] = h5py.Empty("f8")
        file["pointers"] = np.array([file["img"].ref], h5py.ref_dtype)
    held = check(tmp_path / "p.h5", ["img", "txt"])
    assert held.classes == ("chat", "chien", "poule é")
    assert held.source.endswith("(not used: 'none', 'pointers')")


RECORDS = {
    "texts": np.dtype([("id", "i4"), ("name", h5py.string_dtype())]),
    "many": np.dtype([(f"field {i}", "f8") for i in range(500)]),
    "turned": np.dtype({"names": ["a", "b"], "formats": ["f8", "f8"], "offsets": [8, 0]}),
    "plain": np.dtype([("a", "i4"), ("b", "f8")]),
}


@pytest.mark.usefixtures("apart")
def test_records_beside_features_are_told_by_their_shape_alone(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["image"], file["text"] = np.eye(4), np.eye(4)
        for name, dtype in RECORDS.items():
            file.create_dataset(name, (4, 1), dtype)
    found = formats.read_arrays(tmp_path / "x.h5")
    for name in RECORDS:
        assert (found[name].dtype, found[name].shape) == (object, (4, 1)), name
    np.testing.assert_array_equal(found["text"], np.eye(4))


@pytest.mark.usefixtures("apart")
def test_links_that_lead_elsewhere_are_not_followed(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["secret"] = IMG
    with h5py.File(tmp_path / "p.h5", "w") as file:
        file["img"], file["txt"] = IMG, TXT
        file["secret"], file["lost"] = h5py.ExternalLink("other.h5", "/secret"), h5py.SoftLink("/nowhere")
    assert list(formats.read_arrays(tmp_path / "p.h5")) == ["img", "txt"]


# damage


def cuts(whole: bytes) -> list[int]:
    return [1, 8, 100, 512, 519, 600, *range(1000, len(whole), len(whole) // 20), len(whole) - 1]


@pytest.mark.filterwarnings("error")
def test_truncated_matlab(tmp_path: Path) -> None:
    whole = matlab(tmp_path / "whole.mat", X=[IMG, TXT], Y=CODES[:, None]).read_bytes()
    for length in cuts(whole):
        (tmp_path / "cut.mat").write_bytes(whole[:length])
        assert "cut short" in refusal(tmp_path / "cut.mat")


@pytest.mark.filterwarnings("error")
def test_truncated_plain(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "whole.h5", "w") as file:
        file.create_dataset("img", data=IMG, compression="gzip")
        file["txt"] = TXT
    whole = (tmp_path / "whole.h5").read_bytes()
    for length in cuts(whole):
        (tmp_path / "cut.h5").write_bytes(whole[:length])
        assert "cut short" in refusal(tmp_path / "cut.h5")


@pytest.mark.usefixtures("apart")
@pytest.mark.parametrize("before", [b"", HEADER.ljust(512)])
def test_a_signature_and_nothing_else(tmp_path: Path, before: bytes) -> None:
    (tmp_path / "h.mat").write_bytes(before + b"\x89HDF\r\n\x1a\n" + bytes(600))
    assert "cannot be read as an HDF5 file; cut short or damaged?" in refusal(tmp_path / "h.mat")


def test_no_array(tmp_path: Path) -> None:
    h5py.File(tmp_path / "p.h5", "w").close()
    assert "no 2-d array in it (it holds nothing)" in refusal(tmp_path / "p.h5")


@pytest.mark.usefixtures("apart")
@pytest.mark.parametrize("userblock", [0, 512])
def test_matrices_in_one_piece_stay_on_disk(tmp_path: Path, userblock: int) -> None:
    with h5py.File(tmp_path / "x.h5", "w", userblock_size=userblock) as file:
        file["img"], file["labels"] = IMG, CODES
        file.create_dataset("txt", data=TXT, chunks=True, compression="gzip")
    held = formats.read(tmp_path / "x.h5")
    assert type(held.features["img"]) is np.memmap
    assert type(held.features["txt"]) is np.ndarray
    with h5py.File(tmp_path / "x.h5") as file:
        for name, x in held.features.items():
            np.testing.assert_array_equal(x, file[name][()])


@pytest.mark.usefixtures("apart")
def test_a_matrix_kept_in_another_file_is_read(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["img"] = IMG
        file.create_dataset("txt", data=TXT, external=[(str(tmp_path / "raw"), 0, TXT.nbytes)])
    np.testing.assert_array_equal(formats.read(tmp_path / "x.h5").features["txt"], TXT)
