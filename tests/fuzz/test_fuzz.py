"""Every reader against mangled files: those that once showed something, and new ones guided by what they reach."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fuzz.targets import TARGETS, Place

ROOT = Path(__file__).resolve().parents[2]
CORPUS = Path(__file__).parent / "corpus"


def test_what_once_showed_something_shows_nothing(tmp_path):
    for folder in sorted(CORPUS.iterdir()):
        place = Place(TARGETS[folder.name], tmp_path / folder.name)
        for path in sorted(folder.iterdir()):
            assert place.attempt(path.read_bytes()) is None, path


@pytest.mark.parametrize("name", TARGETS)
def test_readers_read_what_is_sound(tmp_path, name):
    """A harness whose folders are refused at the door would find nothing."""
    place = Place(TARGETS[name], tmp_path / "place")
    place.target.read(place.folder)


def test_a_careless_reader_is_found_out(tmp_path):
    from dataclasses import replace

    def careless(folder):
        raise KeyError((folder / "x.npz").read_bytes()[:1])

    finding = Place(replace(TARGETS["npz"], read=careless), tmp_path / "place").attempt(b"a")
    assert finding is not None
    assert finding.signature.startswith("KeyError in")


@pytest.mark.skipif(sys.platform != "linux", reason="libFuzzer's package is made for Linux")
def test_a_few_mangled_files_a_reader(tmp_path):
    """A fixed budget and seed; `make fuzz` is the long one."""
    pytest.importorskip("atheris")
    command = [sys.executable, "-m", "tests.fuzz", "--tries", "60", "--minutes", "0.5", "--work", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr[-3000:]
    rows = re.findall(r"^(\S+) +(\d+) +(\d+)-(\d+) +0 +0 +\+(\d+)$", done.stdout, re.MULTILINE)
    assert [row[0] for row in rows] == list(TARGETS)
    assert all(int(tried) >= 60 and int(reached) > 0 for _, tried, _, reached, _ in rows)
    assert all(int(grown) < 512 for *_, grown in rows)
    assert any(int(reached) > int(begun) for _, _, begun, reached, _ in rows)
