"""Files that are small and would become large: each is refused by the limit, and read where the limit is raised."""

from __future__ import annotations

import io
import json
import re
import resource
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from scipy import sparse
from scipy.io import savemat

from cmc.data import formats
from cmc.data.preparation.feature_store import read_meta
from cmc.errors import UserError
from cmc.reporting.runs import read_assignments
from cmc.reporting.runs import read_config as read_reported_config
from cmc.runs.folder import read_config, read_history, read_report, read_rows
from cmc.utils.memory import SETTING, limit
from tests.data.formats.common import IMG, TXT, cell, folder_of, refusal
from tests.fuzz.folders import in_compressed, in_npz

GIB = 1 / 64  # 16 MiB
ZEROS = np.zeros((2000, 1250))  # 20 MB
TOO_LARGE = r"takes .+ in memory, and reading may take 0\.0 GiB; raise that, CMC_MAX_GIB=N"


@pytest.fixture(autouse=True)
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SETTING, str(GIB))


def element(kind: int, data: bytes) -> bytes:
    return struct.pack("<II", kind, len(data)) + data + bytes(-len(data) % 8)


def matrix(kind: int, dims: tuple[int, ...], name: bytes, *parts: bytes) -> bytes:
    """A MATLAB v5 array, by the format's description."""
    shape = element(5, struct.pack(f"<{len(dims)}i", *dims))
    body = struct.pack("<IIII", 6, 8, kind, 0) + shape + element(1, name) + b"".join(parts)
    return struct.pack("<II", 14, len(body)) + body


def mat(*elements: bytes) -> bytes:
    return b"MATLAB 5.0 MAT-file".ljust(124) + struct.pack("<H", 0x100) + b"IM" + b"".join(elements)


def header(descr: str, shape: str) -> bytes:
    text = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}}}".ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text.encode()


def zipped() -> bytes:
    np.savez_compressed(buffer := io.BytesIO(), a=ZEROS, b=IMG)
    return buffer.getvalue()


def many_members() -> bytes:
    with zipfile.ZipFile(buffer := io.BytesIO(), "w", zipfile.ZIP_DEFLATED) as archive:
        for i in range(20):
            archive.writestr(f"{i}.npy", bytes(10**6))
    return buffer.getvalue()


def h5(**how: Any) -> bytes:
    with h5py.File(buffer := io.BytesIO(), "w") as file:
        file.create_dataset("a", **({} if "data" in how else {"dtype": "f8"}), **how)
    return buffer.getvalue()


def h5_overlong_chunk() -> bytes:
    with h5py.File(buffer := io.BytesIO(), "w") as file:
        array = file.create_dataset("a", shape=(10, 4), dtype="f8", chunks=(10, 4), compression="gzip")
        array.id.write_direct_chunk((0, 0), zlib.compress(bytes(6 * 10**8), 1))
    return buffer.getvalue()


def sparse_4() -> bytes:
    ends = np.array([[1, 1, 1], [2**31 - 1, 2**31 - 1, 0]], float)
    return struct.pack("<5i", 2, 2, 3, 0, 3) + b"X1\0" + ends.T.tobytes()


def deflated() -> bytes:
    packed = zlib.compress(matrix(9, (25, 10**6), b"X1", element(2, bytes(25 * 10**6))))
    return mat(struct.pack("<II", 15, len(packed)) + packed)


def nested(depth: int) -> bytes:
    inner = matrix(6, (1, 1), b"", element(9, bytes(8)))
    for _ in range(depth):
        inner = matrix(1, (1, 1), b"", inner)
    return matrix(1, (1, 1), b"X", inner)


MOST = 2**31 - 1
LONG_TEXT = (4, (1, MOST), b"note", element(16, b""))  # blanks, where none is there
NO_NUMBERS = [element(5, bytes(8))] * 2 + [element(9, b"")]
BOMBS = {
    "npz, deflated zeros": ("x.npz", zipped(), TOO_LARGE),
    "npz, many members": ("x.npz", many_members(), TOO_LARGE),
    "npz, a shape beyond any memory": ("x.npz", in_npz(header("<f8", "(1000000000000, 10)")), TOO_LARGE),
    "npz, a single huge value": ("x.npz", in_npz(header("<U500000000", "(1,)")), TOO_LARGE),
    "npz, values of no size": ("x.npz", in_npz(header("<U0", "(1000000000,)")), "have no size"),
    "hdf5, an absurd dataspace": ("x.h5", h5(shape=(10**9, 1000), chunks=(100, 100), fillvalue=1), TOO_LARGE),
    "hdf5, never written": ("x.h5", h5(shape=(10**9, 1000)), TOO_LARGE),
    "hdf5, an absurd chunk": ("x.h5", h5(shape=(2, 2), maxshape=(None, None), chunks=(20000, 20000)), TOO_LARGE),
    "hdf5, a million chunks": ("x.h5", h5(shape=(10**6, 1), chunks=(1, 1)), TOO_LARGE),
    "hdf5, deflated zeros": ("x.h5", h5(data=ZEROS, compression="gzip"), TOO_LARGE),
    "hdf5, an overlong chunk": ("x.h5", h5_overlong_chunk(), "cannot be read as an HDF5 file"),
    "hdf5, one long text among many": ("x.h5", h5(data=["x" * 10**5] + ["a"] * 1000), TOO_LARGE),
    "mat, deflated zeros": ("x.mat", deflated(), TOO_LARGE),
    "mat, text of declared length": ("x.mat", mat(matrix(*LONG_TEXT)), TOO_LARGE),
    "mat, the same in a cell": ("x.mat", mat(matrix(1, (1, 1), b"X", matrix(*LONG_TEXT))), TOO_LARGE),
    "mat, cells without end": ("x.mat", mat(matrix(1, (MOST, MOST), b"X")), TOO_LARGE),
    "mat, cells within cells": ("x.mat", mat(nested(500)), "no 2-d array in it"),
    "mat, a sparse matrix of zeros": ("x.mat", mat(matrix(5, (MOST, 1), b"X1", *NO_NUMBERS)), TOO_LARGE),
    "mat v4, a sparse matrix of zeros": ("x.mat", sparse_4(), TOO_LARGE),
    "mat, numbers that are not there": (
        "x.mat",
        mat(matrix(6, (10**9, 10**9), b"X1", element(9, bytes(80)))),
        TOO_LARGE,
    ),
    "mat, numbers of which some are not there": (
        "x.mat",
        mat(matrix(6, (1000, 1000), b"X1", element(9, bytes(80)))),
        "cannot be read as a MATLAB file",
    ),
    "csv, a table whose numbers take more than their digits": ("x.csv", b"0,1\n" * (2**20 + 1), TOO_LARGE),
}


@pytest.mark.parametrize("bomb", BOMBS)
def test_a_bomb_is_refused_without_the_memory(tmp_path: Path, bomb: str) -> None:
    """By this process, nor by the one in which MATLAB's files and HDF5 are read: the largest that has ended so far."""
    name, data, says = BOMBS[bomb]
    (tmp_path / name).write_bytes(data)
    who = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    before = [resource.getrusage(each).ru_maxrss for each in who]
    assert re.search(says, refusal(tmp_path if name.endswith(".csv") else tmp_path / name))
    grown = [resource.getrusage(each).ru_maxrss - was for each, was in zip(who, before, strict=True)]
    assert max(grown) < 2**20  # KiB


def test_groups_that_nest_without_end(tmp_path: Path) -> None:
    """HDF5's own walk through them ends the process."""
    with h5py.File(tmp_path / "x.h5", "w", libver="latest") as file:
        group: Any = file
        for _ in range(100):
            group = group.create_group("a")
        group["x"] = IMG
    assert "groups nested more than 32 deep" in refusal(tmp_path / "x.h5")


def test_a_long_class_name_among_many(tmp_path: Path) -> None:
    folder = tmp_path / "f"
    folder.mkdir()
    (folder / "labels.csv").write_text("label\n" + "x" * 10**5 + "\n" + "a\n" * 1000)
    assert "takes 0.4 GiB in memory" in refusal(folder)
    (tmp_path / "assignments.csv").write_text(
        "index,cluster,confidence,label\n" + "0,0,1,a\n" * 1000 + f"0,0,1,{'x' * 10**5}\n"
    )
    with pytest.raises(UserError, match=r"takes 0\.4 GiB in memory"):
        read_assignments(tmp_path / "assignments.csv")


@pytest.mark.parametrize("given", ["0", "-1", "much", "nan"])
def test_the_limit_must_be_a_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: str) -> None:
    np.savez(tmp_path / "x.npz", img=IMG, txt=TXT)
    monkeypatch.setenv(SETTING, given)
    with pytest.raises(UserError, match=f"^CMC_MAX_GIB: '{given}' given; it must be a number above 0$"):
        formats.read(tmp_path / "x.npz")


def test_a_raised_limit_lets_the_same_file_through(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    np.savez_compressed(tmp_path / "x.npz", a=ZEROS, b=ZEROS)
    savemat(tmp_path / "x.mat", {"X": cell(ZEROS, sparse.csc_matrix(ZEROS))}, do_compression=True)
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file.create_dataset("a", data=ZEROS, compression="gzip")
        file.create_dataset("b", data=ZEROS, compression="gzip")
    for name in ("x.npz", "x.mat", "x.h5"):
        refusal(tmp_path / name)
    monkeypatch.setenv(SETTING, "0.5")
    for name in ("x.npz", "x.mat", "x.h5"):
        assert {array.shape for array in formats.read(tmp_path / name).features.values()} == {(2000, 1250)}


def test_what_is_mapped_has_no_limit(tmp_path: Path) -> None:
    formats.read(folder_of(tmp_path / "f", a=ZEROS, b=ZEROS))
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["a"], file["b"] = ZEROS, ZEROS
    assert all(isinstance(array, np.memmap) for array in formats.read(tmp_path / "x.h5").features.values())


def test_without_the_setting_the_limit_follows_the_free_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(SETTING)
    (free,) = (x for x in Path("/proc/meminfo").read_text().splitlines() if x.startswith("MemAvailable"))
    assert limit() == pytest.approx(0.75 * 1024 * int(free.split()[1]), rel=0.2)


@pytest.mark.parametrize("name", ["metrics.json", "history.csv", "assignments.csv"])
def test_a_run_s_files_that_are_too_large(tmp_path: Path, name: str) -> None:
    """Python makes ten times a file and more of such text."""
    (tmp_path / name).write_bytes(b"0,0,1\n" * 2**17)
    readers: dict[str, tuple[Callable[[Path], object], ...]] = {
        "metrics.json": (lambda path: read_report(path.parent),),
        "history.csv": (read_history,),
        "assignments.csv": (read_assignments, lambda path: read_rows(path.parent)),
    }
    for read in readers[name]:
        with pytest.raises(UserError, match=rf"{name}: {TOO_LARGE}"):
            read(tmp_path / name)


def test_a_run_s_embeddings_that_are_too_large(tmp_path: Path) -> None:
    """Of a file of holes, which takes no room on the disk."""
    (tmp_path / "assignments.csv").write_text("index,cluster\n0,0\n")
    np.lib.format.open_memmap(tmp_path / "embeddings.npy", mode="w+", dtype=np.float32, shape=(2**20, 2**10))
    with pytest.raises(UserError, match=rf"embeddings.npy: {TOO_LARGE}"):
        read_rows(tmp_path)


LAUGHS = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{chr(98 + i)}: &{chr(98 + i)} [{', '.join(['*' + chr(97 + i)] * 9)}]\n" for i in range(12)
)
DEEP = {"json": "[" * 10**5, "yaml": "[" * 5000}


@pytest.mark.parametrize("text", [LAUGHS, DEEP["yaml"], "a: ${b}${b}\nb: ${a}\n", 'a: "\x00"'])
def test_hostile_yaml(tmp_path: Path, text: str) -> None:
    (tmp_path / "config.yaml").write_text(text)
    with pytest.raises(UserError, match=r"^\S+config\.yaml: .+$"):
        read_config(tmp_path)
    if "$" not in text:  # which a report does not follow
        with pytest.raises(UserError, match=r"^config\.yaml cannot be read .+$"):
            read_reported_config(tmp_path / "config.yaml")


@pytest.mark.parametrize("text", [DEEP["json"], json.dumps({"format": 1}) + "]", '{"format": ' + "9" * 5000 + "}"])
def test_hostile_json(tmp_path: Path, text: str) -> None:
    for name, read in (("meta.json", read_meta), ("metrics.json", read_report)):
        (tmp_path / name).write_text(text)
        with pytest.raises(UserError, match=rf"{name}: damaged.+$"):
            read(tmp_path)


def test_a_type_that_there_is_not(tmp_path: Path) -> None:
    """The mangled kind that ends SciPy's reader, in a compressed element: numbers of a type that there is not."""
    for kind in (0, 8, 20, 99):
        (tmp_path / "x.mat").write_bytes(in_compressed(matrix(6, (2, 2), b"X1", element(kind, bytes(32)))))
        assert "cannot be read as a MATLAB file; cut short or damaged?" in refusal(tmp_path / "x.mat")


def test_cells_within_cells_without_end(tmp_path: Path) -> None:
    """SciPy goes down into them until there is no more room on the stack."""
    (tmp_path / "x.mat").write_bytes(mat(nested(10_000)))
    assert re.search(r"cannot be read as a MATLAB file.*broke down, signal 11", refusal(tmp_path / "x.mat"))
