"""``python -m tests.soak [--runs N]``: many short runs in one sweep of one process, and what grows with them."""

from __future__ import annotations

import argparse
import contextlib
import gc
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy.stats import theilslopes

WARM = 0.25  # share of the runs that is left out of the slopes: caches fill
MOST = {"memory KiB": 50.0, "objects": 100.0, "files": 0.02, "threads": 0.02}  # growth a run; 0.02: one in fifty runs
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
    "cmmc": {"hidden": [8], "latent_dim": 4, "feature_dim": 4, "kmeans_restarts": 1},
    "dmim": {"width": 4, "restarts": 1, "overcluster_factor": 1},
}


class Mark(NamedTuple):
    """What the process holds after a run."""

    memory: float
    objects: int
    files: int
    threads: int


def mark() -> Mark:
    """Resident memory in KiB, Python's objects, open files and threads, now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    files = len(os.listdir("/proc/self/fd"))
    threads = len(os.listdir("/proc/self/task"))
    return Mark(pages * os.sysconf("SC_PAGE_SIZE") / 2**10, len(gc.get_objects()), files, threads)


def sweep(n: int, folder: Path, *overrides: str) -> list[Mark]:
    """Train n times in one sweep, the methods in turns; what the process held after each."""
    import cmc.training.side_by_side as room
    from cmc import run

    (folder / "conf" / "method").mkdir(parents=True)
    for name, small in METHODS.items():
        tiny = {"defaults": [name, "_self_"], **small}
        (folder / "conf" / "method" / f"tiny_{name}.yaml").write_text(json.dumps(tiny))
    marks: list[Mark] = []
    train = room.train

    def marked(*given: object) -> object:
        marks.append(mark())  # what the run before has left
        return train(*given)

    where = [f"hydra.sweep.dir={folder}/sweep", f"hydra.searchpath=[file://{folder}/conf]"]
    which = [f"seed=range({-(-n // len(METHODS))})", f"method={','.join(f'tiny_{name}' for name in METHODS)}"]
    room.train, before = marked, sys.argv
    sys.argv = ["cmc", "-m", *where, *which, *TINY, *overrides]
    try:
        run.main()
    finally:
        room.train, sys.argv = train, before
    return [*marks, mark()]


def slopes(marks: list[Mark]) -> dict[str, float]:
    """Growth a run of each kind, after the warm-up: the median of the slopes between all pairs of runs."""
    kept = np.array(marks[int(WARM * len(marks)) :], dtype=float)
    return {kind: float(theilslopes(kept[:, i])[0]) for i, kind in enumerate(MOST)}


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Without the runs' own tables."""
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere), contextlib.redirect_stderr(nowhere):
        yield


def main() -> int:
    """Print the table; the status tells whether anything grows."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__.partition(": ")[2])
    parser.add_argument("--runs", type=int, default=200, help="without pictures; with them a fifth (default: 200)")
    n = parser.parse_args().runs
    kinds = {"runs": (n, ["callbacks.figures=null"]), "with pictures": (n // 5, ["callbacks.figures.projection=pca"])}
    row = "{:<15}{:>5}{:>9}" + "{:>21}" * len(MOST)
    print(row.format("sweep of", "n", "seconds", *(f"{kind} (a run)" for kind in MOST)))
    grew = False
    for name, (many, overrides) in kinds.items():
        began = time.monotonic()
        with tempfile.TemporaryDirectory() as folder, quiet():
            marks = sweep(many, Path(folder), *overrides)
        found, last = slopes(marks), marks[-1]
        cells = [f"{value:,.0f} ({found[kind]:+.2f})" for kind, value in zip(MOST, last, strict=True)]
        print(row.format(name, len(marks) - 1, f"{time.monotonic() - began:.0f}", *cells), flush=True)
        grew |= any(found[kind] > most for kind, most in MOST.items())
    return int(grew)


if __name__ == "__main__":
    sys.exit(main())
