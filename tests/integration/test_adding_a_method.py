"""docs/adding-a-method.md, followed word for word in an empty folder."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.quick import interpreter

CHECKOUT = Path(__file__).resolve().parents[2]
DOC = (Path(__file__).resolve().parents[2] / "docs" / "adding-a-method.md").read_text()


@pytest.fixture
def project(tmp_path):
    """The files that the page tells to make."""
    listings = re.findall(r"```\w+ file=(\S+)\n(.*?)```", DOC, re.DOTALL)
    assert len(listings) == 4
    for name, text in listings:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(re.sub(r"^   ", "", text, flags=re.MULTILINE))
    (tmp_path / "my_methods" / "__init__.py").touch()
    return tmp_path


def call(project, *more, script=False):
    (line,) = re.findall(r"^ *(python -m cmc\.run .*)$", DOC, re.MULTILINE)
    words = line.split()
    assert words[:3] == ["python", "-m", "cmc.run"]
    start = [str(Path(sys.executable).with_name("cmc"))] if script else [interpreter(), "-m", "cmc.run"]
    command = [*start, *words[3:], "hydra.run.dir=run", "trainer.accelerator=cpu", "callbacks.figures=null", *more]
    return subprocess.run(command, cwd=project, capture_output=True, text=True, check=False)


def test_the_method_of_the_page_runs_by_name_and_clusters(project):
    done = call(project)
    assert done.returncode == 0, done.stderr
    report = json.loads((project / "run" / "metrics.json").read_text())
    assert report["method"] == "agree"
    assert report["phases"] == {"train": 30}
    assert report["scores"]["acc"] > 0.3, "ten classes: chance is about 0.13"


def test_its_keys_and_its_own_ranges_are_checked(project):
    mistyped = call(project, "method.wieght=3", script=True)
    assert mistyped.returncode == 2
    assert "method.wieght: no such key; did you mean method.weight?" in mistyped.stderr
    impossible = call(project, "method.weight=0")
    assert impossible.returncode == 2
    assert "method.weight: 0 given; it must be a number above 0" in impossible.stderr


def test_its_row_stands_beside_others_on_data_of_ones_own(project):
    (line,) = re.findall(r"^ *python -m (experiments\.leaderboard --methods .*)$", DOC, re.MULTILINE)
    words = [str(project / "my_conf") if word == "../my_project/my_conf" else word for word in line.split()]
    board = project / "board"
    command = [interpreter(), "-m", *words, "--runs", str(board), "--epochs", "3"]
    done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    page = (board / "leaderboard.md").read_text()
    rows = re.findall(r"^\| `(agree|kmeans)` \| (0\.\d{3}) \| (0\.\d{3}|1\.000) \|$", page, re.MULTILINE)
    assert sorted(name for name, *_ in rows) == ["agree", "kmeans"], page
    for name, *scores in rows:
        for data, score in zip(("digits", "rings"), scores, strict=True):
            report = json.loads((board / data / name / "seed0" / "metrics.json").read_text())
            assert float(score) == pytest.approx(report["scores"]["acc"], abs=5e-4)
