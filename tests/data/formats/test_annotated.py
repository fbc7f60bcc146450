"""AnnData and MuData: joined by their ids, dense and sparse, of several versions, damaged; nothing unasked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from scipy import sparse

from cmc.data import formats
from cmc.data.formats import hdf5
from tests.data.formats.cells import annotated, h5ad, h5mu
from tests.data.formats.common import CODES, IMG, TXT, check, refusal

IDS = [f"AAAC{i:04d}-1" for i in range(12)]
KINDS = np.array(["B", "NK", "T"])[CODES]
ORDER = np.random.default_rng(1).permutation(12)
THIN = np.where(np.random.default_rng(2).random(IMG.shape) < 0.6, 0, IMG)


def parts(rows: Any = ORDER) -> dict[str, Any]:
    there = {"cell_type": KINDS[rows], "n_counts": np.arange(12.0)[rows]}
    return {
        "rna": (IMG, IDS, {"cell_type": KINDS, "n_counts": np.arange(12.0)}),
        "prot": (TXT[rows], [IDS[i] for i in rows], there),
    }


@pytest.mark.parametrize("version", ["0.2.0", "0.1.0", "old"])
def test_cells_in_another_order_are_joined_by_their_ids(tmp_path: Path, version: str) -> None:
    held = check(h5mu(tmp_path / "x.h5mu", version, **parts()), ["rna", "prot"], labels="cell_type")
    assert held.classes == ("B", "NK", "T")
    assert held.ids is not None
    assert held.ids.tolist() == IDS
    assert "prot: its rows are brought into the order of rna, by id" in held.remarks


def test_columns_of_obs_are_offered_and_not_taken(tmp_path: Path) -> None:
    held = formats.read(h5mu(tmp_path / "x.h5mu", **parts()))
    assert held.labels is None
    assert held.offered == ("data.labels=cell_type (3 values)",)
    assert held.dims == {"rna": 5, "prot": 4}


def test_cells_without_a_modality_are_refused_or_dropped(tmp_path: Path) -> None:
    path = h5mu(tmp_path / "x.h5mu", **parts(ORDER[:9]))
    assert "9 ids are in all of 'rna' 12, 'prot' 9" in refusal(path)
    held = formats.read(path, incomplete="drop", labels="cell_type")
    kept = np.sort(ORDER[:9])
    np.testing.assert_array_equal(held.features["prot"], TXT[kept])
    assert held.labels is not None
    assert [held.classes[k] for k in held.labels] == KINDS[kept].tolist()  # type: ignore[index]


@pytest.mark.parametrize("form", ["csr", "csc"])
@pytest.mark.parametrize("version", ["0.2.0", "old"])
def test_sparse_matrices(tmp_path: Path, form: str, version: str) -> None:
    given = parts()
    given["rna"] = (sparse.csr_matrix(THIN).asformat(form), *given["rna"][1:])
    held = formats.read(h5mu(tmp_path / "x.h5mu", version, **given))
    np.testing.assert_array_equal(held.features["rna"], THIN)


@pytest.mark.parametrize(
    ("part", "value"), [("indices", 5), ("indices", -1), ("indptr", 10**6), ("indptr", -3), ("shape", 2**40)]
)
def test_sparse_matrices_that_are_damaged(tmp_path: Path, part: str, value: int) -> None:
    given = parts()
    given["rna"] = (sparse.csr_matrix(THIN), *given["rna"][1:])
    path = h5mu(tmp_path / "x.h5mu", **given)
    with h5py.File(path, "a") as file:
        if part == "shape":
            file["mod/rna/X"].attrs["shape"] = (12, value)
        else:
            file[f"mod/rna/X/{part}"][3] = value
    refusal(path)


def test_obsmap_that_disagrees_with_the_ids(tmp_path: Path) -> None:
    path = h5mu(tmp_path / "x.h5mu", **parts())
    with h5py.File(path, "a") as file:
        file["obsmap/prot"][...] = file["obsmap/prot"][()][::-1]
    assert "obsmap/prot and the ids in mod/prot/obs disagree" in refusal(path)


def test_obsm_is_asked_about_and_x_pca_is_never_taken(tmp_path: Path) -> None:
    path = h5ad(tmp_path / "x.h5ad", IMG, IDS, {"cell_type": KINDS}, X_pca=IMG[:, :2], protein=TXT)
    message = refusal(path)
    assert "one modality, 'X'; obsm holds 'X_pca', 'protein'" in message
    assert "data.features=[X,protein]" in message
    check(path, ["X", "protein"], features=["X", "protein"], labels="cell_type")


def test_a_folder_of_h5ad(tmp_path: Path) -> None:
    h5ad(tmp_path / "a.h5ad", IMG, IDS, {"cell_type": KINDS})
    h5ad(tmp_path / "b.h5ad", TXT[ORDER], [IDS[i] for i in ORDER], {"cell_type": KINDS[ORDER]}, X_umap=TXT[:, :2])
    check(tmp_path, ["a", "b"], labels="cell_type")


def test_ids_that_are_twice_there(tmp_path: Path) -> None:
    given = parts(np.arange(12))
    given["prot"] = (TXT, [*IDS[:11], IDS[0]], {})
    path = h5mu(tmp_path / "x.h5mu", **given)
    with h5py.File(path, "a") as file:
        del file["obsmap"]
    assert "'prot': the id 'AAAC0000-1' is there 2 times" in refusal(path)


def test_labels_that_differ_between_modalities(tmp_path: Path) -> None:
    given = parts()
    given["prot"][2]["cell_type"] = KINDS
    path = h5mu(tmp_path / "x.h5mu", **given)
    assert "labels under 'rna:cell_type' and 'prot:cell_type' differ" in refusal(path, labels="cell_type")
    assert formats.read(path, labels="rna:cell_type").n_classes == 3


def test_shared_features_are_no_shared_samples(tmp_path: Path) -> None:
    path = h5mu(tmp_path / "x.h5mu", **parts())
    with h5py.File(path, "a") as file:
        file.attrs["axis"] = 1
    assert "its modalities share features (axis 1), not samples" in refusal(path)


def test_missing_categories_are_no_labels(tmp_path: Path) -> None:
    path = h5mu(tmp_path / "x.h5mu", **parts(np.arange(12)))
    with h5py.File(path, "a") as file:
        for name in ("rna", "prot"):
            file[f"mod/{name}/obs/cell_type/codes"][:4] = -1
    held = formats.read(path, labels="cell_type")
    assert (held.n_labelled, held.n_classes) == (8, 3)


def test_truncated(tmp_path: Path) -> None:
    whole = h5mu(tmp_path / "x.h5mu", **parts()).read_bytes()
    for length in range(600, len(whole) - 1, len(whole) // 25):
        (tmp_path / "cut.h5mu").write_bytes(whole[:length])
        refusal(tmp_path / "cut.h5mu")


@pytest.mark.filterwarnings("ignore:From 0.4 .update:FutureWarning", "ignore:Cannot join columns:UserWarning")
def test_as_the_libraries_themselves_write_them(tmp_path: Path) -> None:
    import anndata
    import mudata
    import pandas

    obs = pandas.DataFrame({"cell_type": pandas.Categorical(KINDS)}, index=IDS)
    rna = anndata.AnnData(sparse.csr_matrix(IMG), obs=obs)
    prot = anndata.AnnData(TXT[ORDER].astype(np.float32), obs=obs.iloc[ORDER])
    mudata.MuData({"rna": rna, "prot": prot}).write(tmp_path / "x.h5mu")
    check(tmp_path / "x.h5mu", ["rna", "prot"], labels="cell_type")
    (tmp_path / "f").mkdir()
    rna.write_h5ad(tmp_path / "f" / "a.h5ad")
    prot.write_h5ad(tmp_path / "f" / "b.h5ad")
    check(tmp_path / "f", ["a", "b"], labels="cell_type")


def test_by_hand_is_what_the_reader_is_tried_on(tmp_path: Path) -> None:
    """A harness whose files were no AnnData would test nothing."""
    with h5py.File(tmp_path / "x.h5", "w") as file:
        annotated(file, IMG, IDS, {}, "old")
        assert hdf5.is_annotated(file)
