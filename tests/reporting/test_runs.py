"""Finished runs read back, and what is said of those that cannot be."""

import json

import pytest

from cmc.errors import UserError
from cmc.reporting.runs import find, read_run
from cmc.runs.assignments import read_assignments
from cmc.runs.history import read_history
from tests.reporting.made import make_run


def test_any_mixture_of_runs_sweeps_and_folders_of_sweeps_is_found_once(tmp_path):
    single = make_run(tmp_path / "single")
    sweep = [make_run(tmp_path / "multirun" / "one" / name) for name in ("0-dmim", "1-dmim")]
    half = tmp_path / "multirun" / "two" / "0-dmim"
    half.mkdir(parents=True)
    (half / "config.yaml").write_text("seed: 0\n")
    (tmp_path / "multirun" / "one" / "multirun.yaml").write_text("hydra: {}\n")
    found = find([tmp_path / "single", tmp_path / "multirun", tmp_path, tmp_path / "multirun" / "one"])
    assert sorted(found) == sorted([single, *sweep, half])


def test_what_loggers_leave_inside_a_run_is_no_unfinished_run(tmp_path):
    run = make_run(tmp_path / "run")
    (inner := run / "wandb" / "offline-run" / "files").mkdir(parents=True)
    (inner / "config.yaml").write_text("seed: 0\n")
    nested = make_run(run / "again")
    assert sorted(find([tmp_path])) == sorted([run, nested])


def test_a_path_that_is_no_folder_is_a_mistake(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="nowhere: no such folder"):
        find([tmp_path, tmp_path / "nowhere"])
    with pytest.raises(UserError, match="file: not a folder"):
        find([tmp_path / "file"])


def test_a_run_is_read_back(tmp_path):
    run = read_run(make_run(tmp_path / "run", seed=3, settings={"method.hidden": [4, 2]}, holdout={"acc": 0.5}))
    assert (run.method, run.data, run.seed, run.epochs) == ("dmim", "digits", 3, 12)
    assert run.config["method.hidden"] == [4, 2]
    assert run.config["method.optimizer.lr"] == 1e-3
    report = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert run.figures == {**report["scores"], "holdout_acc": 0.5, **report["label_free"]}


@pytest.mark.parametrize("key", ["label_free", "phases", "seconds", "versions", "git_commit", "n_clusters"])
def test_older_runs_without_an_optional_key_are_used(tmp_path, key):
    run = read_run(make_run(tmp_path / "run", **{key: "left out"}))
    assert key not in run.report
    assert run.epochs == (None if key == "phases" else 12)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"method": "left out"}, "metrics.json has no method"),
        ({"scores": "left out"}, "metrics.json has no scores"),
        ({"features": {"source": "made"}}, "has no features.fingerprint"),
        ({"features": "made"}, "has no features.fingerprint"),
        ({"scores": {"acc": "high"}}, "scores holds something else than numbers"),
        ({"scores": [0.5]}, "scores holds something else than numbers"),
        ({"seconds": {"total": True}}, "seconds holds something else than numbers"),
        ({"label_free": {"quality": 10**400}}, "label_free holds something else than numbers"),
        ({"phases": {"a": None}}, "phases holds something else than whole numbers of at least 0"),
        ({"phases": {"a": float("nan")}}, "phases holds something else than whole numbers"),
        ({"phases": {"a": float("inf")}}, "phases holds something else than whole numbers"),
        ({"phases": {"a": 4, "b": 2.5}}, "phases holds something else than whole numbers"),
        ({"phases": {"a": -1}}, "phases holds something else than whole numbers"),
        ({"phases": {"a": True}}, "phases holds something else than whole numbers"),
        ({"phases": {"a": 10**400}}, "phases holds something else than whole numbers"),
        ({"phases": [4]}, "phases holds something else than whole numbers"),
        ({"phases": []}, "phases holds something else than whole numbers"),
        ({"seed": "first"}, "seed is no whole number"),
        ({"seed": None}, "seed is no whole number"),
        ({"seed": True}, "seed is no whole number"),
        ({"n_clusters": -3}, "n_clusters is no whole number"),
    ],
)
def test_a_report_that_lacks_what_a_table_needs_is_refused(tmp_path, wrong, says):
    make_run(tmp_path / "run", **wrong)
    with pytest.raises(UserError, match=says):
        read_run(tmp_path / "run")


def test_a_run_that_does_not_know_a_figure_is_used(tmp_path):
    nothing = {"holdout": None, "label_free": None, "phases": None, "seconds": {"total": float("nan")}}
    run = read_run(make_run(tmp_path / "run", scores={"acc": 0.5, "nmi": None, "ari": float("nan")}, **nothing))
    assert (run.figures, run.epochs, run.seconds) == ({"acc": 0.5}, None, None)


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("metrics.json", '{"method": "dm', "metrics.json cannot be read"),
        ("metrics.json", "[]", "holds no mapping"),
        ("metrics.json", None, "no metrics.json: the run has not finished"),
        ("config.yaml", "a: [", "config.yaml cannot be read"),
        ("config.yaml", "- 1", "holds no mapping"),
        ("config.yaml", None, "no config.yaml"),
    ],
)
def test_files_that_cannot_be_read_are_one_line(tmp_path, name, text, says):
    path = make_run(tmp_path / "run") / name
    path.unlink()
    if text is not None:
        path.write_text(text)
    with pytest.raises(UserError, match=says) as told:
        read_run(tmp_path / "run")
    assert "\n" not in str(told.value)


@pytest.mark.parametrize(
    ("root", "source", "name"),
    [
        ("/x/birds.v2.npz", "/x/birds.v2.npz", "birds.v2"),
        ("/x/my (copy)/birds.mat", "/x/my (copy)/birds.mat (X, Y)", "birds"),
        ("/x/birds.v2", "NUS-WIDE, feature folder /x/birds.v2", "birds.v2"),
        (None, "/x/birds.npz (a, b)", "birds"),
    ],
)
def test_files_are_called_by_their_name(tmp_path, root, source, name):
    features = {"source": source, "fingerprint": "00"}
    make_run(tmp_path / "run", data="files", settings={"data.root": root}, features=features)
    assert read_run(tmp_path / "run").data == name


def test_a_surrogate_stays_named(tmp_path):
    features = {"source": "made", "fingerprint": "00", "surrogate": True}
    for data in ("nuswide", "nuswide (surrogate)"):
        run = read_run(make_run(tmp_path / data, data=data, features=features))
        assert run.data == "nuswide (surrogate)"
        assert run.is_surrogate


def test_assignments_are_read_with_any_label(tmp_path):
    labels = ("a, b", 'say "x"', "<b>")
    found = read_assignments(make_run(tmp_path / "run", labels=labels))
    assert found.label.tolist() == [labels[i % 3] for i in range(60)]
    assert found.index.tolist() == list(range(60))
    assert read_assignments(make_run(tmp_path / "bare", labels=None)).label is None
    assert read_assignments(tmp_path / "nowhere") is None
    assert read_history(tmp_path / "nowhere") == []


@pytest.mark.parametrize(
    "text", ["", "index,cluster\n0,1\n", "index,cluster,confidence\n0,1\n", "index,cluster,confidence\n"]
)
def test_broken_assignments_are_one_line(tmp_path, text):
    run = read_run(make_run(tmp_path / "run"))
    (run.folder / "assignments.csv").write_text(text)
    with pytest.raises(UserError, match=r"^assignments\.csv cannot be read \(.+\)$"):
        run.assignments()
