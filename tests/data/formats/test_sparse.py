"""Sparse matrices of SciPy: small ones become arrays; large ones are reduced by truncated SVD and never made dense."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import sparse as scipy_sparse

from cmc.data import formats
from cmc.data.datasets.files import Files
from cmc.data.formats import reduction, sparse
from cmc.errors import UserError
from cmc.inference import inputs
from tests.data.formats.cells import h5ad
from tests.data.formats.common import CODES, IMG, TXT, check, refusal

N, WIDTH = 60, 4
RNG = np.random.default_rng(0)
GROUPS = RNG.integers(0, 3, N)
THIN = np.where(RNG.random((N, 40)) < 0.1 + 0.4 * (np.arange(40) % 3 == GROUPS[:, None]), RNG.random((N, 40)), 0)
OTHER = RNG.random((N, 7))


@pytest.fixture
def large(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have 40 columns be many."""
    monkeypatch.setattr(sparse, "LARGE", 0)
    monkeypatch.setattr(sparse, "_NARROW", 20)
    monkeypatch.setattr(reduction, "WIDTH", WIDTH)


def folder(path: Path, thin: Any = THIN, other: Any = OTHER, form: str = "csr", **more: Any) -> Path:
    path.mkdir(exist_ok=True)
    scipy_sparse.save_npz(path / "text.npz", scipy_sparse.csr_array(thin).asformat(form))
    for name, array in {"image": other, **more}.items():
        np.save(path / f"{name}.npy", array)
    return path


@pytest.mark.parametrize("form", ["csr", "csc", "coo"])
def test_small_ones_are_arrays(tmp_path: Path, form: str) -> None:
    for name, array in (("img", IMG), ("txt", TXT)):
        scipy_sparse.save_npz(tmp_path / f"{name}.npz", scipy_sparse.csr_matrix(array).asformat(form))
    np.save(tmp_path / "labels.npy", CODES)
    check(tmp_path, ["img", "txt"])


def projected(thin: NDArray[Any], rows: Any) -> NDArray[Any]:
    """By NumPy's own decomposition, of all singular values."""
    return np.asarray(thin @ np.linalg.svd(thin[rows], full_matrices=False)[2][:WIDTH].T)


def same_up_to_signs(found: NDArray[Any], other: NDArray[Any]) -> None:
    signs = np.sign((found * other).sum(0))
    np.testing.assert_allclose(found, other * signs, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("form", ["csr", "csc", "coo"])
def test_large_ones_are_reduced(tmp_path: Path, large: None, form: str) -> None:
    held = formats.read(folder(tmp_path, form=form, labels=GROUPS))
    assert held.dims == {"image": 7, "text": WIDTH}
    same_up_to_signs(held.features["text"], projected(THIN, slice(None)))
    (remark,) = held.remarks
    assert remark.startswith("text: sparse, 60 x 40, ")
    assert f"reduced to {WIDTH} columns by truncated SVD, fitted on training samples" in remark


def test_a_large_one_is_never_dense(tmp_path: Path, large: None, monkeypatch: pytest.MonkeyPatch) -> None:
    path = folder(tmp_path)

    def refused(*arguments: Any, **settings: Any) -> Any:
        raise AssertionError("made dense")

    for kind in (scipy_sparse.csr_array, scipy_sparse.csc_array, scipy_sparse.coo_array):
        monkeypatch.setattr(kind, "toarray", refused)
        monkeypatch.setattr(kind, "todense", refused)
    assert formats.read(path).dims == {"image": 7, "text": WIDTH}


def test_cells_are_reduced_too(tmp_path: Path, large: None) -> None:
    ids = [f"c{row}" for row in range(N)]
    h5ad(tmp_path / "rna.h5ad", scipy_sparse.csr_matrix(THIN), ids, {})
    h5ad(tmp_path / "adt.h5ad", OTHER[::-1].copy(), ids[::-1], {})
    held = formats.read(tmp_path)
    order = [row - 1 for row in range(N, 0, -1)]
    same_up_to_signs(held.features["rna"], projected(THIN, slice(None))[order])


def test_it_is_fitted_on_training_rows_alone(tmp_path: Path, large: None) -> None:
    """What is held out changes nothing of what the others become."""
    files = Files(str(folder(tmp_path, labels=GROUPS)), holdout=0.3, seed=3, scaling="none")
    files.load()
    assert files.rows is not None
    same_up_to_signs(files.samples.tensors[1].numpy(), projected(THIN, files.rows)[files.rows])
    again = THIN.copy()
    again[files.held_rows] = 1
    other = Files(str(folder(tmp_path, again, labels=GROUPS)), holdout=0.3, seed=3, scaling="none")
    other.load()
    np.testing.assert_array_equal(files.samples.tensors[1], other.samples.tensors[1])
    assert files.fingerprint != other.fingerprint


def test_the_same_every_time_and_part_of_the_fingerprint(tmp_path: Path, large: None) -> None:
    one, two = (formats.read(folder(tmp_path)) for _ in range(2))
    assert one.fingerprint() == two.fingerprint()
    whole = THIN.copy()
    whole[0, 0] += 1
    assert formats.read(folder(tmp_path, whole)).fingerprint() != one.fingerprint()


@pytest.mark.parametrize("few", [False, True])
def test_new_samples_are_reduced_as_those_of_the_training(tmp_path: Path, large: None, few: bool) -> None:
    """Also so few of them that they are read as a plain array."""
    files = Files(str(folder(tmp_path)))
    trained = files.read()
    state = files.components
    rows = slice(0, 15 if few else None)
    new = Files(str(folder(tmp_path / "new", THIN[rows], OTHER[rows])))
    found = inputs.read(new, {"image": 7, "text": WIDTH}, components=state)
    np.testing.assert_allclose(found.features["text"], trained.features["text"][rows], rtol=1e-5, atol=1e-6)


def test_a_run_on_dense_data_refuses_a_large_one(tmp_path: Path, large: None) -> None:
    files = Files(str(folder(tmp_path)))
    with pytest.raises(UserError, match="'text' is sparse and large, and the run was trained on no such modality"):
        inputs.read(files, {"image": 7, "text": 40})


def test_rows_under_a_mask_are_gaps(tmp_path: Path, large: None) -> None:
    thin, mask = THIN.copy(), np.ones((N, 2))
    mask[5:9, 1] = 0
    thin[5:9] = 0
    held = formats.read(folder(tmp_path, thin, mask=mask), incomplete="drop")
    kept = np.setdiff1d(np.arange(N), range(5, 9))
    assert held.n_samples == len(kept)
    same_up_to_signs(held.features["text"], projected(thin, kept)[kept])


def test_ids_and_splits(tmp_path: Path, large: None) -> None:
    path = folder(tmp_path / "ids", ids=np.arange(N)[::-1] * 10)
    held = formats.read(path)
    assert held.ids is not None
    assert held.ids[0] == "590"
    split = tmp_path / "split"
    split.mkdir()
    for part, rows in (("tr", slice(0, 45)), ("te", slice(45, N))):
        scipy_sparse.save_npz(split / f"T_{part}.npz", scipy_sparse.csr_array(THIN[rows]))
        np.save(split / f"I_{part}.npy", OTHER[rows])
    held = formats.read(split)
    assert held.held_out is not None
    same_up_to_signs(held.features["T"], projected(THIN, slice(0, 45)))


@pytest.mark.parametrize("key", ["indices", "indptr", "data", "shape", "format"])
def test_damaged_parts(tmp_path: Path, large: None, key: str) -> None:
    with np.load(folder(tmp_path) / "text.npz") as archive:
        parts = dict(archive)
    parts[key] = np.array(b"dia") if key == "format" else parts[key][:-1] if key == "shape" else parts[key] + 10**6
    if key == "data":
        parts[key] = np.full(len(parts[key]), np.nan)
    np.savez(tmp_path / "text.npz", **parts)
    message = refusal(tmp_path)
    assert any(said in message for said in ("cannot be read as a sparse matrix", "not finite", "save it as csr"))


def test_two_files_of_one_name(tmp_path: Path) -> None:
    folder(tmp_path, text=OTHER)
    assert "two files are called 'text'; rename one" in refusal(tmp_path)


def test_too_few_rows(tmp_path: Path, large: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reduction, "WIDTH", 45)
    assert "60 training rows are too few to reduce it to 45 columns" in refusal(folder(tmp_path))
