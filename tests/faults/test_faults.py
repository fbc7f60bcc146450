"""A few faults of each kind; ``make faults`` injects them all."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from tests.quick import interpreter

ROOT = Path(__file__).resolve().parents[2]
KINDS = ("SIGKILL", "SIGTERM", "last.ckpt cut", "a bit of last.ckpt", "disk full", "disk full in cmc.prepare", "second")


@pytest.fixture(scope="module")
def counts(tmp_path_factory):
    """Of a process of its own: forking is for processes with one thread."""
    out = tmp_path_factory.mktemp("faults") / "counts.json"
    command = [interpreter(), "-m", "tests.faults", "--quick", "--out", str(out)]
    done = subprocess.run(command, cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True)
    assert out.exists(), done.stderr
    return json.loads(out.read_text())


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_lost(counts, kind):
    found = [count for count in counts if count["fault"].startswith(kind)]
    assert sum(count["injected"] for count in found) >= 1
    assert all(count["lost"] == [] and count["noticed"] + count["harmless"] == count["injected"] for count in found)
    assert not any(count["harmless"] for count in found) or kind.startswith("a bit")
