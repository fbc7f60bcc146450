"""``python -m tests.soak [--runs N]``: many short runs in one sweep of one process, and what grows with them."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy.stats import theilslopes

WARM = 0.25  # share of the runs that is left out of the slopes: caches fill
MOST = {"memory KiB": 50.0, "files": 0.02, "threads": 0.02}  # growth a run; 0.02 is one in fifty runs
TINY = [
    "data=synthetic",
    "data.n_samples=40",
    "data.dims=[4,3]",
    "data.n_clusters=2",
    "method.batch_size=20",
    "max_phase_epochs=1",
    "evaluate_every=1",
    "trainer=cpu",
]
METHODS = {
    "cmmc": ["method=cmmc", "method.hidden=[8]", "method.latent_dim=4", "method.feature_dim=4"],
    "dmim": ["method=dmim", "method.width=4", "method.restarts=1", "method.overcluster_factor=1"],
}


class Mark(NamedTuple):
    """What the process holds after a run."""

    memory: float
    files: int
    threads: int


def mark() -> Mark:
    """Resident memory in KiB, open files and threads, now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    files = len(os.listdir("/proc/self/fd"))
    threads = len(os.listdir("/proc/self/task"))
    return Mark(pages * os.sysconf("SC_PAGE_SIZE") / 2**10, files, threads)


def sweep(method: str, n: int, folder: Path, *overrides: str) -> list[Mark]:
    """Train n times in one sweep; what the process held after each."""
    import cmc.train
    from cmc import run

    marks: list[Mark] = []
    train = cmc.train.train

    def marked(*given: object) -> object:
        report = train(*given)
        marks.append(mark())
        return report

    arguments = ["-m", f"hydra.sweep.dir={folder}", f"seed=range({n})", *METHODS[method], *TINY, *overrides]
    cmc.train.train, before = marked, sys.argv
    sys.argv = ["cmc", *arguments]
    try:
        run.main()
    finally:
        cmc.train.train, sys.argv = train, before
    assert len(marks) == n
    return marks


def slopes(marks: list[Mark]) -> dict[str, float]:
    """Growth a run of each kind, after the warm-up: the median of the slopes between all pairs of runs."""
    kept = np.array(marks[int(WARM * len(marks)) :], dtype=float)
    return {kind: float(theilslopes(kept[:, i])[0]) for i, kind in enumerate(MOST)}


def main() -> int:
    """Print the table; the status tells whether anything grows."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__.partition(": ")[2])
    parser.add_argument("--runs", type=int, default=200, help="of each kind (default: 200)")
    n = parser.parse_args().runs
    kinds = {
        "cmmc": ("cmmc", n, "callbacks.figures=null"),
        "dmim": ("dmim", n, "callbacks.figures=null"),
    }
    row = "{:<10}{:>6}{:>10}{:>22}{:>18}{:>18}"
    print(row.format("runs", "n", "seconds", "memory KiB (a run)", "files (a run)", "threads (a run)"))
    grew = False
    for name, (method, runs, *overrides) in kinds.items():
        began = time.monotonic()
        with tempfile.TemporaryDirectory() as folder, open(os.devnull, "w") as nowhere:
            with contextlib.redirect_stdout(nowhere), contextlib.redirect_stderr(nowhere):
                marks = sweep(method, runs, Path(folder), *overrides)
        found, last = slopes(marks), marks[-1]
        cells = [f"{value:,.0f} ({found[kind]:+.2f})" for kind, value in zip(MOST, last, strict=True)]
        print(row.format(name, runs, f"{time.monotonic() - began:.0f}", *cells), flush=True)
        grew |= any(found[kind] > most for kind, most in MOST.items())
    return int(grew)


if __name__ == "__main__":
    sys.exit(main())
