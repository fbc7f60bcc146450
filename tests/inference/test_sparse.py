"""A run on a large sparse modality is taken up again with what it was reduced by."""

import csv

import numpy as np
import pytest
from scipy import sparse as scipy_sparse

from cmc import evaluate, predict
from cmc.data.formats import reduction, sparse
from cmc.training.fit import train


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(sparse, "LARGE", 0)
    monkeypatch.setattr(sparse, "_NARROW", 20)
    monkeypatch.setattr(reduction, "WIDTH", 4)
    rng = np.random.default_rng(0)
    kinds = np.arange(90) % 3
    thin = np.where(rng.random((90, 40)) < 0.1 + 0.4 * (np.arange(40) % 3 == kinds[:, None]), 1.0, 0)
    place = tmp_path / "data"
    place.mkdir()
    scipy_sparse.save_npz(place / "text.npz", scipy_sparse.csr_array(thin))
    np.save(place / "image.npy", rng.random((90, 6)) + kinds[:, None])
    np.save(place / "labels.npy", kinds)
    return place


def rows(path):
    with path.open() as lines:
        return list(csv.DictReader(lines))


def test_a_run_s_own_clusters_come_out_again(folder, composed, commanded, tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    data = ["data=files", f"data.root={folder}", "data.scaling=standard", "callbacks.figures=null"]
    report = train(composed("method=cmmc", "experiment=smoke", "method.hidden=[16]", *data), str(run))
    assert report["features"]["dims"] == {"image": 6, "text": 4}
    assert "reduced to 4 columns by truncated SVD" in report["features"]["remarks"][0]
    status, _, line = commanded(evaluate, f"run={run}", "out=x.json")
    assert status == 0, line
    status, _, line = commanded(predict, f"run={run}", f"data.root={folder}", "out=x.csv")
    assert status == 0, line
    own = [row["cluster"] for row in rows(run / "assignments.csv")]
    assert [row["cluster"] for row in rows(tmp_path / "x.csv")] == own
