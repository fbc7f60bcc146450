"""What trackers show of a run folder: bounded tables, whole counts."""

import json

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment

from cmc.runs.outcome import read_outcome

FEATURES = {"dims": {"x": 4}, "fingerprint": "00"}
REPORT = {"method": "dmim", "data": "made", "seed": 0, "scores": None}


@pytest.fixture
def folder(tmp_path):
    """Write a run folder of n samples in k clusters; returns the clusters and the labels."""

    def write(n, k, classes):
        rng = np.random.default_rng(0)
        clusters, labels = rng.integers(0, k, n), rng.integers(0, classes or 1, n)
        (tmp_path / "metrics.json").write_text(
            json.dumps(REPORT | {"features": FEATURES | {"n_samples": n}, "n_clusters": k})
        )
        known = [f",class {c}" if classes else "" for c in labels]
        lines = [f"{2 * i},{clusters[i]},0.5{known[i]}" for i in range(n)]
        head = "index,cluster,confidence" + (",label" if classes else "")
        (tmp_path / "assignments.csv").write_text("\n".join([head, *lines]) + "\n")
        return clusters, labels

    return write


@pytest.mark.parametrize(("k", "classes"), [(3, 3), (5, 3), (2, 4)])
def test_every_sample_is_counted_and_clusters_are_called_by_their_class(folder, tmp_path, k, classes):
    clusters, labels = folder(500, k, classes)
    table = read_outcome(tmp_path, max_rows=7, max_points=3).confusion
    assert len(table.rows) == table.total == k * classes
    counts = np.zeros((k, classes), int)
    np.add.at(counts, (clusters, labels), 1)
    assert {(row[0], row[3]): row[2] for row in table.rows} == {
        (f"class {c}", j): counts[j, c] for j in range(k) for c in range(classes)
    }
    best = counts[linear_sum_assignment(-counts)].sum()
    assert sum(row[2] for row in table.rows if row[1].startswith(f"{row[0]} ")) == best
    sizes = counts.sum(1)
    for actual, name, count, j in table.rows:
        if name.startswith(f"{actual} "):
            assert name == f"{actual} {round(100 * count / sizes[j])} %"
    called = {row[3]: row[1] for row in table.rows}
    assert len(set(called.values())) == k
    assert sum(name == f"cluster {j}" for j, name in called.items()) == max(0, k - classes)


@pytest.mark.parametrize(("n", "most"), [(500, 7), (5, 7), (7, 7), (1, 7)])
def test_rows_are_at_most_so_many_and_reach_from_end_to_end(folder, tmp_path, n, most):
    folder(n, 2, 2)
    outcome = read_outcome(tmp_path, max_rows=most, max_points=3)
    indices = [row[0] for row in outcome.assignments.rows]
    assert (len(indices), outcome.assignments.total) == (min(n, most), n)
    assert (indices[0], indices[-1]) == (0, 2 * (n - 1))
    assert len(outcome.points.rows) == min(n, 3)


def test_without_labels_and_with_too_many_cells_there_is_no_confusion_matrix(folder, tmp_path):
    folder(50, 3, 0)
    outcome = read_outcome(tmp_path, 10, 10)
    assert outcome.confusion is None
    assert outcome.embeddings is None
    assert outcome.figures == []
    assert outcome.assignments.columns == ["index", "cluster", "confidence"]
    folder(3000, 110, 100)
    assert read_outcome(tmp_path, 10, 10).confusion is None
