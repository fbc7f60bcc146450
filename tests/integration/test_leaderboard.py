"""The leaderboard: ranks against naive ones, cells that fail, runs of other data, two processes in one folder."""

import csv
import json
import math
import subprocess
import sys
from itertools import combinations
from pathlib import Path

import pytest
from scipy.stats import norm

from experiments import leaderboard
from experiments.leaderboard_page import read, write
from experiments.ranks import alike, critical_difference, standing
from tests.quick import interpreter

SCORES = {
    "a": {"x": 0.9, "y": 0.5, "z": 0.5},
    "b": {"x": 0.7, "y": 0.6, "z": 0.1},
    "c": {"x": 0.3, "y": 0.2, "z": 0.4},
}


def test_ranks_are_counted_by_hand():
    found = standing(SCORES)
    for name, own in SCORES.items():
        for method, score in own.items():
            better = sum(other > score for other in own.values())
            equal = sum(other == score for other in own.values())
            assert found.ranks[method][found.data.index(name)] == better + (equal + 1) / 2
    assert list(found.means) == ["x", "z", "y"]
    table = [[found.ranks[method][i] for method in "xyz"] for i in range(3)]
    k, n = 3, 3
    sums = [sum(row[j] for row in table) for j in range(k)]
    ties = sum(t**3 - t for row in table for t in (row.count(rank) for rank in set(row)))
    naive = (12 / (n * k * (k + 1)) * sum(s**2 for s in sums) - 3 * n * (k + 1)) / (1 - ties / (n * k * (k**2 - 1)))
    assert found.p == pytest.approx(math.exp(-naive / 2)), "the chi-square of two degrees of freedom"


def test_the_critical_difference_of_two_methods_is_that_of_a_normal_test():
    assert critical_difference(2, 30) == pytest.approx(norm.ppf(0.975) * math.sqrt(1 / 30), rel=1e-3)
    assert critical_difference(5, 30) == pytest.approx(2.728 * math.sqrt(5 * 6 / 180), rel=1e-3), "Demsar's table 5"


def test_data_that_a_method_lacks_rank_nobody():
    found = standing({**SCORES, "d": {"x": 1.0, "y": 0.5}})
    assert found.data == ["a", "b", "c"]
    assert math.isnan(standing({"a": {"x": 1.0, "y": 0.0}}).p)


def test_bars_join_what_does_not_differ():
    means = {"a": 1.0, "b": 2.0, "c": 2.5, "d": 4.0}
    found = alike(means, 1.6)
    assert found == [(1.0, 2.5), (2.5, 4.0)]
    values = sorted(means.values())
    for x, y in combinations(values, 2):
        assert any(a <= x and y <= b for a, b in found) == (y - x < 1.6)


def board(runs, *more):
    command = ["--runs", str(runs), "--data", "synthetic", "--methods", "kmeans", "gmm", "--seeds", "0", "1", *more]
    return ["-m", "experiments.leaderboard", *command]


@pytest.fixture(scope="module")
def filled(tmp_path_factory):
    """A folder of four runs, and what the second of two processes that filled it said."""
    runs = tmp_path_factory.mktemp("board")
    home = Path(leaderboard.__file__).parents[1]
    started = [
        subprocess.Popen([interpreter(), *board(runs)], cwd=home, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for _ in range(2)
    ]
    said = [process.communicate() for process in started]
    assert [process.returncode for process in started] == [0, 0], said
    return runs


def test_two_processes_share_a_folder_and_each_run_is_run_once(filled):
    finished = sorted(filled.glob("*/*/*/metrics.json"))
    assert [path.parts[-4:-1] for path in finished] == [
        ("synthetic", method, f"seed{seed}") for method in ("gmm", "kmeans") for seed in (0, 1)
    ]
    assert not list(filled.glob("*/*/*/failed.txt"))
    logs = [path.with_name("run.log").read_text() for path in finished]
    assert all(log.count("run folder: ") == 1 for log in logs)
    with (filled / "leaderboard.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [float(row["acc"]) for row in rows] == [json.loads(p.read_text())["scores"]["acc"] for p in finished]


def test_what_fails_is_told_in_its_cell_and_the_rest_goes_on(filled, tmp_path, monkeypatch):
    runs = tmp_path / "runs"
    conf = tmp_path / "mine" / "conf"
    (conf / "method").mkdir(parents=True)
    (conf / "method" / "broken.yaml").write_text("defaults:\n  - kmeans\n  - _self_\nrestarts: 0\n")
    monkeypatch.setattr(sys, "executable", interpreter())
    arguments = ["--methods", "broken", "kmeans", "--data", "synthetic", "--seeds", "0", "--conf", str(conf)]
    monkeypatch.setattr(sys, "argv", ["leaderboard", *arguments, "--runs", str(runs)])
    leaderboard.main()
    page = (runs / "leaderboard.md").read_text()
    assert "| `broken` | failed |" in page
    assert "restarts: 0 given" in page
    assert (runs / "synthetic/kmeans/seed0/metrics.json").exists()


def test_runs_of_other_data_and_of_several_versions_and_half_written_ones_are_noted(filled, tmp_path):
    runs = tmp_path / "runs"
    for path in filled.glob("*/*/*"):
        copy = runs / path.relative_to(filled)
        copy.mkdir(parents=True)
        for name in ("metrics.json", "config.yaml", "assignments.csv"):
            (copy / name).write_bytes((path / name).read_bytes())
    other = runs / "synthetic/kmeans/seed1/metrics.json"
    other.write_text(json.dumps(json.loads(other.read_text()) | {"git_commit": "1234567890"}))
    half = runs / "synthetic/gmm/seed1/metrics.json"
    half.write_text(half.read_text()[:40])
    stranger = json.loads((runs / "synthetic/gmm/seed0/metrics.json").read_text())
    stranger["features"]["fingerprint"] = "0123456789abcdef"
    (runs / "synthetic/gmm/seed2").mkdir()
    (runs / "synthetic/gmm/seed2/metrics.json").write_text(json.dumps(stranger))
    (runs / "synthetic/gmm/seed2/config.yaml").write_bytes((runs / "synthetic/gmm/seed0/config.yaml").read_bytes())
    found = read(runs)
    notes = "\n".join(found.notes)
    assert "kmeans: runs of several versions (1234567" in notes
    assert "gmm/seed1" in notes
    assert "other data of this name (fingerprint 0123456789abcdef)" in notes
    assert [run.seed for run in found.runs["synthetic"]["gmm"]] == [0]
    write(runs, runs)
    assert "other data of this name" in (runs / "leaderboard.md").read_text()
