"""``make pythons`` tells which interpreters it did not find, and fails where one that is there fails, or none is there.

The interpreters are scripts: what they are asked for is written down, and nothing is installed.
"""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
VENV = """#!/bin/sh
if [ "$1 $2" = "-m venv" ]; then mkdir -p "$3/bin"; cp "$0" "$3/bin/python"; fi
echo "$*" >>asked.txt
if [ "$2" = tests.smoke ]; then exit {status}; fi
"""


@pytest.fixture
def make(tmp_path, monkeypatch):
    """Call ``make pythons`` in a folder of the Makefile alone, with interpreters of such exit statuses of the smoke."""
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, tmp_path)
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    for name in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL", "MAKEOVERRIDES"):  # this may itself be run by make
        monkeypatch.delenv(name, raising=False)

    def call(**statuses):
        for version, status in statuses.items():
            script = tmp_path / "bin" / f"python{version.replace('_', '.')[1:]}"
            script.write_text("#!/bin/sh\nexit 127\n" if status is None else VENV.format(status=status))
            script.chmod(0o755)
        versions = " ".join(version.replace("_", ".")[1:] for version in statuses)
        return subprocess.run(
            ["make", "pythons", f"PYTHONS={versions}"], cwd=tmp_path, capture_output=True, text=True, check=False
        )

    return call


def test_each_interpreter_that_is_there_is_tried(make, tmp_path):
    done = make(v3_96=0, v3_97=None, v3_98=0)
    assert done.returncode == 0, done.stderr
    assert "make: there is no python3.97: left out\n" in done.stdout
    assert done.stdout.endswith("make: passed on: 3.96 3.98; failed on: none\n")
    asked = (tmp_path / "asked.txt").read_text()
    assert asked.count("-m tests.smoke\n") == asked.count("--constraint constraints.txt --editable .[report]\n") == 2
    assert asked.count("-m venv .venv-3.98\n") == 1


def test_one_that_fails_fails_all_and_the_rest_is_tried(make):
    done = make(v3_96=1, v3_98=0)
    assert done.returncode != 0
    assert done.stdout.endswith("make: passed on: 3.98; failed on: 3.96\n")


def test_none_at_all_is_a_failure(make):
    done = make(v3_97=None)
    assert done.returncode != 0
    assert done.stdout.endswith("make: passed on: none; failed on: none\n")
