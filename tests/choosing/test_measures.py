"""What is measured at one K, against scikit-learn, loops and the run's own files."""

import csv
from math import isnan, log
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score

from cmc.choosing.found import Found, nearest_means, read_found
from cmc.choosing.measures import measure


def found(rows, clusters, own=None, folder="run"):
    return Found(np.asarray(rows), np.asarray(clusters), own, 0.5, None, Path(folder), True)


def test_stability_is_of_the_samples_that_two_runs_share():
    rng = np.random.default_rng(0)
    rows = [np.sort(rng.permutation(60)[:40]) for _ in range(3)]
    clusters = [rng.integers(3, size=60) for _ in range(2)]
    clusters.append(clusters[0].copy())
    runs = {seed: found(r, c[r], folder=f"s{seed}") for seed, (r, c) in enumerate(zip(rows, clusters, strict=True))}
    measured = measure(3, runs)
    expected = []
    for a, b in ((0, 1), (0, 2), (1, 2)):
        both = sorted(set(rows[a].tolist()) & set(rows[b].tolist()))
        expected.append(adjusted_rand_score(clusters[a][both], clusters[b][both]))
    assert measured.stability == pytest.approx(expected)
    assert measured.stability[1] == 1
    assert measured.typical in (Path("s0"), Path("s2"))
    sizes = np.mean([sorted(np.bincount(c[r], minlength=3) / 40)[::-1] for r, c in zip(rows, clusters, strict=True)], 0)
    assert measured.sizes == pytest.approx(sizes)
    assert isnan(measured.shares)


def test_information_is_a_mean_over_pairs_of_modalities():
    same, other = np.arange(900) % 3, np.arange(900) // 300
    measured = measure(3, {0: found(range(900), same, np.stack([same, same, other]))})
    assert measured.shares == pytest.approx(log(3) / 3, abs=0.01)
    assert (measured.compared, measured.error) == (900, 0)
    assert isnan(measured.stable)


def test_fewer_samples_held_out_than_clusters_tell_nothing():
    clusters = np.arange(40) % 8
    measured = measure(8, {0: found(range(40), clusters, np.stack([clusters[:7], clusters[:7]]))})
    assert isnan(measured.shares)
    assert measured.compared == 7


@pytest.mark.parametrize("k", [2, 6, 15])
def test_two_modalities_that_share_nothing_stay_below_what_chance_gives(k):
    rng = np.random.default_rng(k)

    def runs():
        return {seed: found(range(300), [0] * 300, rng.integers(k, size=(2, 300))) for seed in range(3)}

    measured = [measure(k, runs()) for _ in range(20)]
    assert sum(one.shares > one.by_chance for one in measured) <= 1
    assert max(one.shares for one in measured) > measured[0].by_chance / 10, "which is not far above them"


def test_a_modality_s_own_cluster_is_that_of_the_nearest_mean():
    rng = np.random.default_rng(0)
    fitted, clusters = rng.standard_normal((30, 5)).astype(np.float32), np.repeat([0, 2, 5], 10)
    asked = rng.standard_normal((8, 5)).astype(np.float32)
    own = nearest_means(fitted, clusters, asked, [2, 3])
    for m, columns in enumerate((slice(0, 2), slice(2, 5))):
        for i in range(8):
            distances = {
                k: np.linalg.norm(asked[i, columns] - fitted[clusters == k][:, columns].mean(0)) for k in (0, 2, 5)
            }
            assert own[m, i] == min(distances, key=distances.get)


@pytest.mark.parametrize("method", ["cmmc", "dmim"])
def test_a_method_s_own_assignments_are_read_from_its_run(finished_runs, method):
    folder = finished_runs[method]
    read, fingerprint = read_found(folder)
    tables = {}
    for part in ("", "_holdout"):
        with (folder / f"assignments{part}.csv").open(newline="") as file:
            tables[part] = list(csv.DictReader(file))
    together = {int(row["index"]): int(row["cluster"]) for rows in tables.values() for row in rows}
    assert dict(zip(read.rows.tolist(), read.clusters.tolist(), strict=True)) == together
    assert list(read.rows) == list(range(150))
    for m in (0, 1):
        assert read.own[m].tolist() == [int(row[f"cluster_modality_{m}"]) for row in tables["_holdout"]]
    assert read.unseen
    assert fingerprint
