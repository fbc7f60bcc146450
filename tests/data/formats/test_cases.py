"""Files as people have them, in the folder that CMC_REAL_DATA names: read, or refused in one line that leads on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cmc.data import formats
from cmc.data.datasets.folder import Folder
from cmc.data.formats import Told, read_contents, sort_out
from tests.data.formats.common import refusal


@pytest.fixture
def cases(real_data: Path) -> Path:
    if not (real_data / "cases").is_dir():
        pytest.skip("the folder of real data holds no cases")
    return real_data / "cases"


def test_masks(cases: Path) -> None:
    folder = cases / "07-presence-masks"
    assert "which says of each sample what it has: no modality" in refusal(folder / "masks-alone.mat")
    found = formats.read(folder / "zero-filled-with-mask.mat", incomplete="drop")
    assert found.n_samples == 41
    assert found.remarks[0] == "W says which samples have what; of 60 samples lack: X1 12, X2 7"


@pytest.mark.parametrize("name", ["incomplete.mat", "incomplete.npz"])
def test_rows_of_nan(cases: Path, name: str) -> None:
    path = cases / "08-nan-rows-in-training" / name
    found = sort_out(path, read_contents(path), Told(incomplete="use"))
    gaps = sum(np.isnan(array).all(1) for array in found.features.values())
    assert formats.read(path, incomplete="drop").n_samples == int((gaps == 0).sum()) == 41


def test_containers_hold_the_same(cases: Path) -> None:
    folder = cases / "16-other-containers"
    one, other = (formats.read(folder / f"clip.{form}") for form in ("parquet", "safetensors"))
    for name, array in one.features.items():
        np.testing.assert_allclose(other.features[name], array, rtol=1e-6, atol=1e-6)
    np.testing.assert_array_equal(one.labels, other.labels)
    for name in ("clip.jsonl", "clip.pkl", "clip.pt", "dict.npy", "object.npz", "shard-000000.tar", "table.csv"):
        refusal(folder / name)


def test_cells(cases: Path) -> None:
    folder = cases / "22-h5ad-and-sparse-h5mu"
    assert formats.read(folder / "sparse.h5mu").dims == {"rna": 30, "prot": 12}
    assert formats.read(folder / "folder").dims == {"rna": 30, "adt": 12}


@pytest.mark.parametrize(
    ("name", "n", "unusable", "n_labels"),
    [
        ("excel", 30, 0, 3),
        ("flickr8k-kaggle", 30, 0, 0),
        ("hf-imagefolder", 30, 0, 3),
        ("image-missing-for-some", 30, 3, 0),
        ("text-missing-for-some", 30, 5, 0),
        ("renamed", 30, 0, 0),
    ],
)
def test_captions(cases: Path, name: str, n: int, unusable: int, n_labels: int) -> None:
    folder = cases / "25-captions" / name
    for incomplete in ("drop", "use"):
        source = Folder(raw=str(folder), incomplete=incomplete).open(folder)
        assert source is not None
        assert (len(source.names), len(source.concepts)) == (n, n_labels)
        assert len(source.unusable) == (unusable if incomplete == "drop" else 0)
        assert len({*source.lacking.get("image", ()), *source.lacking.get("text", ())}) == (
            0 if incomplete == "drop" else unusable
        )


def test_captions_in_folders_by_class(cases: Path) -> None:
    folder = cases / "25-captions" / "pascal-sentences"
    source = Folder(raw=str(folder), labels="folders").open(folder)
    assert source is not None
    assert source.concepts == ("aeroplane", "bird", "boat")
