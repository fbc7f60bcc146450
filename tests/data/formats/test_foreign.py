"""What is not read is named for what it is, with what leads on."""

from __future__ import annotations

import io
import json
import pickle
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import sparse
from scipy.io import savemat

from tests.data.formats.common import CODES, IMG, TXT, refusal

POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:ab\nsize 17151496\n"


@pytest.mark.parametrize("name", ["x.h5mu", "x.mat", "x.npz", "x.npy", "x.csv", "f/a.npy", "g/a.csv"])
def test_a_pointer_of_git_lfs(tmp_path: Path, name: str) -> None:
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text(POINTER)
    path = tmp_path / name
    assert "a Git LFS pointer in the place of the file; run git lfs pull" in refusal(
        path if "/" not in name else path.parent
    )


def test_pickles_are_named_and_never_loaded(tmp_path: Path) -> None:
    (tmp_path / "x.pkl").write_bytes(pickle.dumps({"img": IMG}))
    assert "a pickle, and loading it could run any code; where you trust it" in refusal(tmp_path / "x.pkl")
    np.save(tmp_path / "d.npy", {"img": IMG}, allow_pickle=True)  # type: ignore[arg-type]
    assert "numpy.load('d.npy', allow_pickle=True).item()" in refusal(tmp_path / "d.npy")
    torch.save({"img": torch.zeros(3, 2)}, tmp_path / "x.pt")
    assert "d = torch.load('x.pt', map_location='cpu', weights_only=True)" in refusal(tmp_path / "x.pt")
    (tmp_path / "x.pt").rename(tmp_path / "x.bin")
    assert "a file of PyTorch" in refusal(tmp_path / "x.bin")


def test_archives_and_streams(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "shard-000000.tar", "w") as archive:
        archive.addfile(tarfile.TarInfo("0.jpg"), io.BytesIO())
    assert "a tar archive, such as a shard of webdataset; unpack it" in refusal(tmp_path / "shard-000000.tar")
    (tmp_path / "x.tfrecord-00000-of-00010").write_bytes(bytes(64))
    assert "TFRecords of TensorFlow" in refusal(tmp_path / "x.tfrecord-00000-of-00010")
    (tmp_path / "x.npz.gz").write_bytes(b"\x1f\x8b\x08")
    assert "a packed file; unpack it" in refusal(tmp_path / "x.npz.gz")
    (tmp_path / "x.jsonl").write_text(json.dumps({"a": 1}))
    assert "pandas.read_json('x.jsonl', lines=True)" in refusal(tmp_path / "x.jsonl")
    (tmp_path / "x.feather").write_bytes(b"FEA1....FEA1")
    assert "t = pandas.read_feather('x.feather')" in refusal(tmp_path / "x.feather")


def test_one_wide_table_is_told_how_to_be_split(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("img_0,img_1,txt_0,label\n1,2,3,0\n")
    message = refusal(tmp_path / "t.csv")
    assert "one .csv file for each modality into a folder" in message
    assert "for m in ['img', 'txt']]; t[['label']].to_csv('FOLDER/labels.csv', index=False)" in message


def test_sparse_matrices_of_scipy(tmp_path: Path) -> None:
    thin = sparse.csr_matrix(IMG)
    sparse.save_npz(tmp_path / "s.npz", thin)
    assert "one alone; put it into a folder with the other modalities" in refusal(tmp_path / "s.npz")
    np.savez(tmp_path / "p.npz", data=thin.data, indices=thin.indices, indptr=thin.indptr, view_1=TXT)
    assert "scipy.sparse.csr_array((data, indices, indptr)).toarray()" in refusal(tmp_path / "p.npz")


def test_records_and_complex_numbers(tmp_path: Path) -> None:
    np.savez(tmp_path / "r.npz", view_0=np.zeros(12, "f4,f4"), view_1=TXT)
    assert "an array of records of 2 fields" in refusal(tmp_path / "r.npz")
    np.savez(tmp_path / "c.npz", view_0=IMG + 1j, view_1=TXT)
    assert "has dtype complex128: give real numbers" in refusal(tmp_path / "c.npz")


def test_kernels_and_triplets(tmp_path: Path) -> None:
    kernel = IMG @ IMG.T
    savemat(tmp_path / "k.mat", {"KH": np.stack([kernel, kernel**2], 2), "Y": CODES})
    assert "kernels of 12 samples, it seems, and no features" in refusal(tmp_path / "k.mat")
    lists = []
    for matrix in (IMG, TXT[:, :2]):
        rows, columns = np.nonzero(matrix)
        lists.append(np.column_stack([rows + 1, columns + 1, matrix[rows, columns]]))
    savemat(tmp_path / "t.mat", {"X1": lists[0], "X2": lists[1], "truth": CODES})
    message = refusal(tmp_path / "t.mat")
    assert "a sparse matrix as triplets" in message
    assert "X1 = full(spconvert(X1))" in message
