"""Every reader against mangled files: those that once showed something, and new ones guided by what they reach."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from cmc.data.formats import child
from tests.fuzz.targets import TARGETS, Place

ROOT = Path(__file__).resolve().parents[2]
CORPUS = Path(__file__).parent / "corpus"


def test_what_once_showed_something_shows_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(child, "_LEAST_SECONDS", 1)  # several have HDF5 turn in circles
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
def test_a_reader_that_takes_the_fuzzer_with_it_is_found_out(tmp_path):
    pytest.importorskip("atheris")
    (tmp_path / "careless.py").write_text(
        "import os, signal\nfrom dataclasses import replace\nfrom pathlib import Path\n"
        "from tests.fuzz.guided import fuzz\nfrom tests.fuzz.targets import TARGETS\n"
        "def read(folder):\n"
        "    if (folder / 'img.csv').read_bytes()[:1] == b'#': os.kill(os.getpid(), signal.SIGKILL)\n"
        "target = replace(TARGETS['csv'], read=read, seeds=lambda: [b'a', b'#'])\n"
        f"found = fuzz('csv', target, Path({str(tmp_path)!r}), seconds=2)\n"
        "print({key: path.read_bytes()[:1] for key, path in found.findings.items()})\n"
    )
    command = [sys.executable, str(tmp_path / "careless.py")]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=60, check=False)
    assert re.fullmatch(r"\{'crash, status 9, \w+': b'#'\}", done.stdout.strip()), done.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="libFuzzer's package is made for Linux")
def test_what_a_reader_s_own_process_contains_is_counted_apart(tmp_path):
    pytest.importorskip("atheris")
    (tmp_path / "apart.py").write_text(
        "import os, signal\nfrom dataclasses import replace\nfrom pathlib import Path\n"
        "from cmc.data.formats import matlab\nfrom tests.data.formats.common import read_here\n"
        "from tests.fuzz.guided import fuzz\nfrom tests.fuzz.targets import TARGETS\n"
        "def read(folder):\n"
        "    said = (folder / 'img.csv').read_bytes()[:1]\n"
        "    if said == b'!' or said == b'#' and matlab.read_apart is read_here: os.kill(os.getpid(), signal.SIGKILL)\n"
        "for said in (b'#', b'!'):\n"
        "    target = replace(TARGETS['csv'], read=read, seeds=lambda: [said], apart=True)\n"
        f"    found = fuzz('csv', target, Path({str(tmp_path)!r}, said.decode()), seconds=2)\n"
        "    print(found.apart, len(found.findings))\n"
    )
    command = [sys.executable, str(tmp_path / "apart.py")]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=120, check=False)
    assert done.stdout == "1 0\n0 1\n", done.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="libFuzzer's package is made for Linux")
def test_a_child_that_is_stuck_is_killed():
    """libFuzzer's alarm allocates memory, and may wait for ever for an allocator that died."""
    pytest.importorskip("atheris")
    from tests.fuzz.guided import _wait

    stuck = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    assert _wait(stuck.pid, 0.2) is None
    assert not Path(f"/proc/{stuck.pid}").exists()
    stuck.returncode = -9


@pytest.mark.skipif(sys.platform != "linux", reason="libFuzzer's package is made for Linux")
def test_a_few_mangled_files_a_reader(tmp_path):
    """A fixed budget and seed; `make fuzz` is the long one."""
    pytest.importorskip("atheris")
    command = [sys.executable, "-m", "tests.fuzz", "--tries", "12", "--minutes", "0.5", "--work", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr[-3000:]
    rows = re.findall(r"^(\S+) +(\d+) +(\d+)-(\d+) +0 +\d+ +0 +\+(\d+)$", done.stdout, re.MULTILINE)
    assert [row[0] for row in rows] == list(TARGETS)
    assert all(int(tried) >= 12 and int(reached) > 0 for _, tried, _, reached, _ in rows)
    assert all(int(grown) < 512 for *_, grown in rows)
    assert any(int(reached) > int(begun) for _, _, begun, reached, _ in rows)
