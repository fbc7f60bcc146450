"""The command: what it writes, what it says of runs that it cannot use, and how a mistake is told."""

import csv
import json
import logging
import resource
import subprocess
import sys

import numpy as np
import pytest

from cmc import report
from tests.reporting.made import make_run

FILES = {"runs.csv", "table.csv", "table.md", "table.tex", "report.html", "figures"}


@pytest.fixture
def command(monkeypatch, capsys, tmp_path):
    """Run the command as if it began this process; returns its output and the lines on standard error."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(logging.root, "handlers", [])
    monkeypatch.setattr(logging.root, "level", logging.WARNING)

    def call(*arguments):
        monkeypatch.delenv("HYDRA_FULL_ERROR", raising=False)
        monkeypatch.setattr(sys, "argv", ["report", *map(str, arguments)])
        report.main()
        printed = capsys.readouterr()
        return printed.out, printed.err.splitlines()

    return call


@pytest.fixture
def refused(command, capsys):
    def call(*arguments):
        with pytest.raises(SystemExit) as stop:
            command(*arguments)
        assert stop.value.code == 2
        return capsys.readouterr().err.splitlines()

    return call


def test_a_real_run_is_reported_and_the_made_ones_are_like_it(command, tiny_run, tmp_path, capsys):
    tiny_run("seed=3", folder=tmp_path / "runs" / "real")
    make_run(tmp_path / "runs" / "made")
    real, made = (json.loads((tmp_path / "runs" / name / "metrics.json").read_text()) for name in ("real", "made"))
    assert set(real) == set(made)
    assert set(real["features"]) == set(made["features"])
    for name in ("assignments.csv", "history.csv"):
        heads = [next(csv.reader((tmp_path / "runs" / run / name).open())) for run in ("real", "made")]
        assert heads[0][:3] == heads[1][:3]
    capsys.readouterr()
    out, lines = command("runs", "--out", "out")
    assert {path.name for path in (tmp_path / "out").iterdir()} == FILES
    with (tmp_path / "out" / "runs.csv").open(newline="") as file:
        records = {record["folder"]: record for record in csv.DictReader(file)}
    assert float(records["runs/real"]["acc"]) == real["scores"]["acc"]
    assert records["runs/real"]["n_samples"] == "150"
    assert "| synthetic | cmmc |" in out
    assert out == (tmp_path / "out" / "table.md").read_text()
    assert lines[-1] == "written: out/report.html, table.md, table.tex, table.csv, runs.csv, figures/"
    assert [line for line in lines[:-1] if "nearly uniform" not in line] == []


def test_runs_that_cannot_be_used_are_skipped_with_a_line_each(command, tmp_path):
    make_run(tmp_path / "runs" / "good")
    (half := tmp_path / "runs" / "half").mkdir()
    (half / "config.yaml").write_text("seed: 0\n")
    make_run(tmp_path / "runs" / "older", scores="left out")
    (make_run(tmp_path / "runs" / "torn") / "metrics.json").write_text('{"method"')
    _, lines = command("runs", "--projection", "pca")
    assert lines[0] == "skipped runs/half: no metrics.json: the run has not finished"
    assert lines[1].startswith("skipped runs/older: metrics.json has no scores")
    assert lines[2].startswith("skipped runs/torn: metrics.json cannot be read")
    assert len(lines) == 4
    assert len((tmp_path / "report" / "runs.csv").read_text().splitlines()) == 2


def test_what_the_page_cannot_show_is_said_once_and_the_rest_is_written(command, tmp_path):
    run = make_run(tmp_path / "runs" / "run")
    np.save(run / "embeddings.npy", np.zeros((3, 2)))
    (run / "history.csv").write_text("epoch,phase,loss\nlast,first,0.5\n")
    (run / "assignments.csv").write_text("")
    _, lines = command("runs")
    assert sorted(line.split(": ")[1].split()[0] for line in lines[:-1]) == ["assignments.csv", "history.csv"]
    assert {path.name for path in (tmp_path / "report").iterdir()} == FILES


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "the following arguments are required: PATH"),
        (["nowhere"], "nowhere: no such folder"),
        (["empty"], "empty: no run below"),
        (["runs", "--projection", "umap"], "invalid choice: 'umap'"),
        (["runs", "--outt", "x"], "unrecognized arguments: --outt x"),
        (["runs", "--out", "runs/good"], "--out: runs/good is a run folder; give another"),
        (["runs", "--out", "runs/good/run.csv"], "--out: runs/good/run.csv is a file; give another"),
        (["runs", "--out", "runs/good/run.csv/x"], "Not a directory"),
    ],
)
def test_a_mistake_is_one_line(refused, tmp_path, arguments, says):
    (make_run(tmp_path / "runs" / "good") / "run.csv").write_text("")
    (tmp_path / "empty").mkdir()
    (line,) = refused(*arguments)
    assert line.startswith("cmc: error: ")
    assert says in line


def test_without_a_single_finished_run_there_is_no_report(refused, tmp_path):
    (half := tmp_path / "runs" / "half").mkdir(parents=True)
    (half / "config.yaml").write_text("seed: 0\n")
    assert refused("runs") == [
        "skipped runs/half: no metrics.json: the run has not finished",
        "cmc: error: no finished run that can be read",
    ]
    assert not (tmp_path / "report").exists()


def test_without_plotly_one_line_says_how_to_get_it(refused, monkeypatch, tmp_path):
    make_run(tmp_path / "runs" / "good")
    monkeypatch.setitem(sys.modules, "plotly.offline", None)
    assert refused("runs") == ["cmc: error: report.html needs plotly: pip install 'cmc[report]'"]


@pytest.mark.parametrize(("arguments", "status"), [(["--help"], 0), (["nowhere"], 2)])
def test_help_and_mistakes_load_nothing_heavy(arguments, status, tmp_path):
    script = f"import sys\nfrom cmc.report import main\nsys.argv[1:] = {arguments}\ntry:\n    main()\nfinally:\n"
    script += "    print(*sorted({name.split('.')[0] for name in sys.modules}), file=sys.stderr)\n"
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert done.returncode == status
    loaded = set(done.stderr.splitlines()[-1].split())
    assert "omegaconf" in loaded
    assert not loaded & {"torch", "pytorch_lightning", "sklearn", "matplotlib", "plotly", "scipy", "numpy"}
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 1.5
