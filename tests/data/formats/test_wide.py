"""Far more columns than samples, in every form."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
from scipy import sparse
from scipy.io import savemat

from cmc.data import formats
from cmc.data.formats import hdf5, matlab
from tests.data.formats.cells import h5ad, h5mu
from tests.data.formats.common import read_here

WIDE = 10**5
IMG = np.random.default_rng(0).random((3, WIDE)).round(3)
TXT = IMG[:, ::-1]
IDS = ["c", "a", "b"]
KINDS = {"kind": np.array(["x", "y", "x"])}


def text(folder: Path) -> Path:
    for name, array in (("img", IMG), ("txt", TXT)):
        (folder / f"{name}.csv").write_text("".join(",".join(map(str, row)) + "\n" for row in array))
    return folder


def with_ids(folder: Path) -> Path:
    heading = ",".join(["id", *(f"f{i}" for i in range(WIDE))]) + "\n"
    for name, array in (("img", IMG), ("txt", TXT)):
        rows = (",".join([each, *map(str, row)]) + "\n" for each, row in zip(IDS, array, strict=True))
        (folder / f"{name}.csv").write_text(heading + "".join(rows))
    return folder


def genes_by_samples(folder: Path) -> Path:
    for name, array in (("img", IMG), ("txt", TXT)):
        rows = (f"{name}{i}," + ",".join(map(str, row)) + "\n" for i, row in enumerate(array.T))
        (folder / f"{name}.csv").write_text(",".join(["", *IDS]) + "\n" + "".join(rows))
    return folder


def npz(folder: Path) -> Path:
    np.savez(folder / "x.npz", img=IMG, txt=TXT)
    return folder / "x.npz"


def npy(folder: Path) -> Path:
    np.save(folder / "img.npy", IMG)
    np.save(folder / "txt.npy", TXT)
    return folder


def mat(folder: Path) -> Path:
    savemat(folder / "x.mat", {"img": IMG, "txt": sparse.csc_matrix(TXT)})
    return folder / "x.mat"


def mat73(folder: Path) -> Path:
    with h5py.File(folder / "x.h5", "w") as file:
        file.update({"img": IMG, "txt": TXT})
    return folder / "x.h5"


def mudata(folder: Path) -> Path:
    return h5mu(folder / "x.h5mu", img=(IMG, IDS, KINDS), txt=(sparse.csr_matrix(TXT), IDS, KINDS))


def anndata(folder: Path) -> Path:
    h5ad(folder / "img.h5ad", IMG, IDS, KINDS)
    h5ad(folder / "txt.h5ad", sparse.csc_matrix(TXT), IDS, KINDS)
    return folder


@pytest.mark.parametrize("make", [text, with_ids, genes_by_samples, npz, npy, mat, mat73, mudata, anndata])
def test_many_columns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make: Callable[[Path], Path]) -> None:
    for form in (hdf5, matlab):
        monkeypatch.setattr(form, "read_apart", read_here)
    held = formats.read(make(tmp_path))
    assert held.dims == {"img": WIDE, "txt": WIDE}
    np.testing.assert_allclose(held.features["img"], IMG, rtol=1e-6)
    np.testing.assert_allclose(held.features["txt"], TXT, rtol=1e-6)
