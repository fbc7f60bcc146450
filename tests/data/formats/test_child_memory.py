"""What a reader in a process of its own takes of memory: an array once, in both processes together."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]

ONCE = """
import sys, threading, time, os
import numpy as np
from pathlib import Path
from cmc.data.formats.child import read_apart
from tests.data.formats.readers import ones

def held():
    children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    sizes = []
    for pid in ("self", *children):
        try:
            text = Path(f"/proc/{pid}/smaps_rollup").read_text()
        except OSError:
            continue
        sizes.append(int(text.split("Pss:")[1].split()[0]) if "Pss:" in text else 0)
    return sizes[0], sum(sizes)

def look():
    while on:
        for i, now in enumerate(held()):
            most[i] = max(most[i], now - before[i])
        time.sleep(0.005)

most, before, on = [0, 0], held(), True
watch = threading.Thread(target=look)
watch.start()
found = read_apart(ones, Path(sys.argv[1]), "a file")
on = False
watch.join()
assert (found["x"] == 1).all() and found["x"].shape == (300, 2**18)
print(*(size / 2**10 for size in most))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="Linux tells what processes hold")
def test_both_processes_together_hold_an_array_once(tmp_path: Path) -> None:
    """300 MiB, looked at every 5 ms; the child's own libraries are some 50."""
    (tmp_path / "once.py").write_text(ONCE)
    (tmp_path / "x.bin").write_bytes(bytes(240))
    command = [sys.executable, str(tmp_path / "once.py"), str(tmp_path / "x.bin")]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    parent, both = map(float, done.stdout.split())
    assert 290 < parent < 330
    assert 290 < both < 400
