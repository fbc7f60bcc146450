"""``experiments/wandb_dashboard.py``: what it would send names figures that runs log."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from cmc.runs.history import read_history

SCRIPT = Path(__file__).resolve().parents[2] / "experiments" / "wandb_dashboard.py"


def load():
    spec = importlib.util.spec_from_file_location("wandb_dashboard", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def sections(tmp_path_factory):
    path = tmp_path_factory.mktemp("dashboard") / "workspace.json"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["x", "--entity", "team", "--project", "p", "--dry-run", str(path)])
        load().main()
    written = json.loads(path.read_text())
    assert (written["entity"], written["project"]) == ("team", "p")
    section = written["spec"]["section"]
    return {part["name"]: part["panels"] for part in section["panelBankConfig"]["sections"]}, section["runSets"][0]


def test_the_leaderboard_is_by_data_and_method(sections):
    parts, runs = sections
    bars = next(panels for name, panels in parts.items() if name.startswith("Leaderboard"))
    shown = [panel["config"]["metrics"] for panel in bars]
    assert shown[:3] == [[f"summary_metrics.scores/{score}"] for score in ("acc", "nmi", "ari")]
    assert [(key["section"], key["name"]) for key in runs["grouping"]] == [
        ("config", "dataset.value"),
        ("config", "names.value.method"),
    ]


def test_lines_are_over_epochs_and_confusion_is_the_runs_table(sections):
    parts, _ = sections
    lines = [p["config"] for panels in parts.values() for p in panels if p["viewType"] == "Run History Line Plot"]
    assert {line["xAxis"] for line in lines} == {"epoch"}
    assert {"label_free/quality", "training/samples_per_second"} <= {line["metrics"][0] for line in lines}
    (chart,) = (p["config"] for p in parts["Confusion and embedding"] if p["viewType"] == "Vega2")
    assert "confusion_table" in json.dumps(chart)
    assert chart["panelDefId"] == "wandb/confusion_matrix/v1"


@pytest.mark.parametrize("method", ["cmmc", "dmim"])
def test_scores_and_measures_are_those_of_a_finished_run(sections, finished_runs, method):
    parts, runs = sections
    report = json.loads((finished_runs[method] / "metrics.json").read_text())
    lines = {
        title: [panel["config"]["metrics"] for panel in panels if panel["viewType"] == "Run History Line Plot"]
        for title, panels in parts.items()
    }
    for title, group in (("Scores over epochs", "scores"), ("Quality without labels", "label_free")):
        assert sorted(lines[title]) == sorted([f"{group}/{name}"] for name in report[group]), title
    for key in ("scores/acc", "scores/nmi", "scores/ari", "label_free/quality"):
        assert f"summary:{key}" in json.dumps(runs)


@pytest.mark.parametrize("method", ["cmmc", "dmim"])
def test_loss_terms_are_those_that_a_run_logs_in_its_phases(method, tiny_run, tmp_path):
    tiny_run("evaluate_every=0", method=method)
    logged = {}
    for row in read_history(tmp_path / "run"):
        terms = {name for name, value in row.items() if value and name not in ("epoch", "phase", "loss")}
        logged.setdefault(f"{method.upper()}, {row['phase']}" if method == "cmmc" else "DMIM", set()).update(terms)
    shown = {phase: set(terms) for phase, terms in load().LOSSES.items() if phase.startswith(method.upper())}
    assert shown == logged


def test_without_a_login_it_is_one_line(tmp_path):
    kept = {k: v for k, v in os.environ.items() if not k.startswith("WANDB_")} | {"HOME": str(tmp_path)}
    environment = kept | {"NETRC": str(tmp_path / "netrc"), "PYTHONPATH": str(SCRIPT.parents[2])}
    done = subprocess.run(
        [sys.executable, str(SCRIPT)],
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line == "wandb_dashboard: error: W&B: nobody is logged in; type wandb login, or set WANDB_API_KEY"
