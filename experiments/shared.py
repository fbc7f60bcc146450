"""Runs beside each other on one machine: how they share its cores, and what threads are worth.

    python -m experiments.shared [--repeats 5] [--parts side_by_side,sweep,threads,waiting] [--out FILE.json] [--tiny]

- ``side_by_side``: two, three and four runs at once against one after the other, wall time of all.
- ``sweep``: four jobs, ``hydra/launcher=joblib`` with ``n_jobs=1`` and ``2``.
- ``threads``: one run with one thread, with all cores, and with what ``trainer.threads=auto`` picks.
- ``waiting``: the same with all cores, by how long threads spin before they sleep, alone and beside a busy process.

Settings are taken in turn, so that all meet the same load; ratios are of runs of the same turn. Four runs of one thread
each can take, on two cores, half of the time that they take one after the other, and no less.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any

from cmc.runs.report import read_report
from cmc.utils.cores import available
from experiments.benchmark import HOME, processor, spread

LEAN = ["evaluate_every=0", "callbacks.figures=null", "callbacks.checkpoints=null", "callbacks.gallery=null"]
LEAN += ["trainer.accelerator=cpu", "callbacks.results.embeddings=false"]
CASES = {
    "dmim, digits": ["method=dmim", "data=digits"],
    "cmmc, digits, 20 epochs a phase": ["method=cmmc", "data=digits", "max_phase_epochs=20"],
}
TINY = ["method=dmim", "data=synthetic", "data.n_samples=60", "data.dims=[6,5]", "data.n_clusters=3"]
TINY += ["max_phase_epochs=1", "method.restarts=1"]
WAITING = {
    "as commands do": {},
    "GNU's default": {"GOMP_SPINCOUNT": "300000"},
    "passive": {"OMP_WAIT_POLICY": "PASSIVE"},
}
WAITING |= {f"{spins} spins": {"GOMP_SPINCOUNT": str(spins)} for spins in (1_000, 100_000)}
Kinds = dict[str, Callable[[], float]]


def started(folder: str, arguments: list[str], environment: dict[str, str] | None = None) -> subprocess.Popen[bytes]:
    """A command that has begun."""
    command = [sys.executable, "-m", "cmc.run", *arguments, *LEAN, f"hydra.run.dir={folder}"]
    return subprocess.Popen(
        command, cwd=HOME, env=os.environ | (environment or {}), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )


def ended(runs: list[subprocess.Popen[bytes]]) -> None:
    """Wait for all."""
    for run in runs:
        _, told = run.communicate()
        if run.returncode:
            sys.exit(told.decode())


def together(case: list[str], n: int, at_once: bool) -> float:
    """Seconds of n runs."""
    with tempfile.TemporaryDirectory() as folder:
        began, runs = time.perf_counter(), []
        for seed in range(n):
            runs.append(started(f"{folder}/{seed}", [*case, f"seed={seed}"]))
            if not at_once:
                ended(runs[-1:])
        ended(runs if at_once else [])
        return time.perf_counter() - began


def swept(case: list[str], n_jobs: int, n: int = 4) -> float:
    """Seconds of a sweep over n seeds."""
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        launcher = ["hydra/launcher=joblib", f"hydra.launcher.n_jobs={n_jobs}", f"hydra.sweep.dir={folder}"]
        ended([started(f"{folder}/none", ["-m", *case, f"seed=range({n})", *launcher])])
        return time.perf_counter() - began


def training(
    case: list[str], threads: int | str, environment: dict[str, str] | None = None, busy: bool = False
) -> float:
    """Training seconds of a run, as its folder tells them."""
    with tempfile.TemporaryDirectory() as folder, _busy() if busy else nullcontext():
        ended([started(f"{folder}/run", [*case, f"trainer.threads={threads}"], environment)])
        report = read_report(Path(folder, "run"))
    return sum(report["seconds"][name] for name, epochs in report["phases"].items() if epochs)


@contextmanager
def _busy() -> Iterator[None]:
    """A process that computes all the time."""
    process = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        yield
    finally:
        process.kill()
        process.wait()


def parts(case: list[str]) -> dict[str, tuple[str, Kinds]]:
    """What is compared in each part: the name of what the others are compared with, and how each is timed."""
    beside: Kinds = {}
    for n in (2, 3, 4):
        beside |= {f"{n}, one after the other": partial(together, case, n, False)}
        beside |= {f"{n} at once": partial(together, case, n, True)}
    cores = available()
    waiting: Kinds = {}
    for name, environment in WAITING.items():
        for load, busy in (("alone", False), ("beside a busy process", True)):
            waiting[f"{name}, {load}"] = partial(training, case, cores, environment, busy)
    return {
        "side_by_side": ("", beside),
        "sweep": ("n_jobs=1", {f"n_jobs={n}": partial(swept, case, n) for n in (1, 2)}),
        "threads": ("1", {str(n): partial(training, case, n) for n in dict.fromkeys((1, cores, "auto"))}),
        "waiting": ("as commands do, alone", waiting),
    }


def measured(first: str, kinds: Kinds, repeats: int) -> dict[str, dict[str, list[float]]]:
    """Seconds of each kind, and their ratio to those of another of the same turn."""
    seconds: dict[str, list[float]] = {name: [] for name in kinds}
    for _ in range(repeats):
        for name, time_one in kinds.items():
            seconds[name].append(time_one())
    found = {}
    for name, values in seconds.items():
        others = seconds[first or f"{name[0]}, one after the other"]
        found[name] = {"seconds": spread(values), "ratio": spread([a / b for a, b in zip(values, others, strict=True)])}
    return found


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(prog="python -m experiments.shared", description=__doc__.partition("\n")[0])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--parts", default="side_by_side,sweep,threads,waiting")
    parser.add_argument("--out", type=Path, default=HOME / "experiments" / "results" / "shared.json")
    parser.add_argument("--tiny", action="store_true", help="runs of seconds: does it work?")
    given = parser.parse_args()
    found: dict[str, Any] = {"processor": processor(), "cores": available(), "repeats": given.repeats}
    for title, case in ({"tiny": TINY} if given.tiny else CASES).items():
        compared = parts(case)
        for part in given.parts.split(","):
            rows = found.setdefault(title, {})[part] = measured(*compared[part], given.repeats)
            for name, row in rows.items():
                print(f"{title}: {part}: {name}: {row['seconds']} s, {row['ratio']} times", flush=True)
            given.out.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
