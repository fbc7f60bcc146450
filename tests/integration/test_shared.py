"""The scripts that measure runs beside each other, evaluations and start-up do what they say, on runs of seconds."""

import json
import subprocess
import sys

import pytest

from cmc.callbacks.evaluation import Evaluation
from experiments import evaluations, gpu, seeds, shared, startup
from tests.quick import interpreter


@pytest.fixture
def measured(monkeypatch, tmp_path):
    """Run a script with arguments, its commands by an interpreter that begins quickly; returns what it wrote."""

    def call(module, *arguments):
        monkeypatch.setattr(sys, "executable", interpreter())
        monkeypatch.setattr(sys, "argv", [module.__name__, *arguments, "--out", str(tmp_path / "out.json")])
        module.main()
        return json.loads((tmp_path / "out.json").read_text())

    return call


def test_kinds_are_taken_in_turn_and_compared_within_a_turn():
    taken = []

    def timer(name, *times):
        seconds = iter(times)
        return lambda: (taken.append(name), next(seconds))[1]

    kinds = {"2, one after the other": timer("a", 4, 10), "2 at once": timer("b", 2, 20)}
    found = shared.measured("", kinds, 2)
    assert taken == ["a", "b", "a", "b"]
    assert found["2 at once"] == {"seconds": [11, 2, 20], "ratio": [1.25, 0.5, 2]}


@pytest.mark.parametrize("at_once", [False, True])
def test_all_runs_are_awaited_at_once_or_one_after_the_other(monkeypatch, at_once):
    begun = []

    def started(folder, arguments):
        begun.append(subprocess.Popen(["sleep", "0.2"], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE))
        return begun[-1]

    monkeypatch.setattr(shared, "started", started)
    seconds = shared.together([], 3, at_once)
    assert all(process.returncode == 0 for process in begun)
    assert (seconds >= 0.6) != at_once


def test_every_part_compares_with_one_of_its_kinds():
    for first, kinds in shared.parts([]).values():
        assert all((first or f"{name[0]}, one after the other") in kinds for name in kinds)


def test_a_dry_run_measures_threads(measured):
    found = measured(shared, "--tiny", "--repeats", "1", "--parts", "threads")
    assert {"processor", "cores", "repeats"} < set(found)
    rows = found["tiny"]["threads"]
    assert {"1", "auto"} <= set(rows)
    assert rows["1"]["ratio"] == [1, 1, 1]
    assert all(row["seconds"][0] > 0 for row in rows.values())


def test_runs_at_once_are_begun_before_one_is_awaited(monkeypatch):
    events = []
    monkeypatch.setattr(shared, "started", lambda folder, arguments: events.append("begun") or arguments[-1])
    monkeypatch.setattr(shared, "ended", lambda runs: events.extend(f"{run} ended" for run in runs))
    shared.together([], 2, True)
    assert events == ["begun", "begun", "seed=0 ended", "seed=1 ended"]
    events.clear()
    shared.together([], 2, False)
    assert events[:3] == ["begun", "seed=0 ended", "begun"]


def test_a_run_that_fails_ends_the_measurement(measured, monkeypatch):
    monkeypatch.setattr(shared, "TINY", ["metod=dmim"])
    with pytest.raises(SystemExit, match="no such key; did you mean method"):
        measured(shared, "--tiny", "--repeats", "1", "--parts", "threads")


def test_the_share_of_evaluations_is_what_they_take(monkeypatch):
    tiny = {"data__n_samples": 60, "data__dims": [6, 5], "data__n_clusters": 3, "restarts": 1}
    monkeypatch.setitem(evaluations.CASES, "tiny", ("dmim", "synthetic", tiny))
    before = Evaluation.on_train_epoch_end
    found = evaluations.measured("tiny", 1, 10)
    assert 0 < found["share"][0] < 1
    assert Evaluation.on_train_epoch_end is before


def test_start_up_is_timed_to_the_scores_and_to_the_end(measured, tmp_path):
    small = ["method=kmeans", "data=synthetic", "data.n_samples=60", "callbacks.figures=null"]
    found = measured(startup, str(startup.HOME), *small, "--repeats", "1")
    assert 0 < found["scores"]["after"][0] <= found["seconds"]["after"][0]
    assert found["command"] == "python -m cmc.run " + " ".join(small)


def test_several_seeds_are_timed_beside_one(measured):
    found = measured(seeds, "--tiny", "--counts", "1,2", "--repeats", "1", "--epochs", "1")
    assert found["tiny"]["1"]["ratio"] == [1, 1, 1]
    assert found["tiny"]["2"]["command_seconds_a_run"][0] > found["tiny"]["2"]["seconds_a_run"][0] > 0


def test_what_fails_of_a_gpu_s_checks_is_told_and_the_rest_goes_on(measured, monkeypatch, tmp_path):
    def fails(dry, seconds, folder):
        raise RuntimeError("out of memory")

    monkeypatch.setattr(gpu, "PARTS", {"first": fails, "second": lambda dry, seconds, folder: {"dry": dry}})
    with pytest.raises(SystemExit) as stop:
        measured(gpu, "--dry")
    assert stop.value.code
    parts = json.loads((tmp_path / "out.json").read_text())["parts"]
    assert parts["first"]["failed"] == "out of memory"
    assert parts["second"]["found"] == {"dry": True}
