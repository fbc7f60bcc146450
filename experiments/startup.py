"""From command to scores, and to the finished folder, of two checkouts in turn: `method=kmeans data=digits`.

    git worktree add ../before COMMIT
    python -m experiments.startup ../before [--repeats 5] [--out FILE.json] [key=value ...]

The first run of each is not counted: it brings files into memory and fonts into matplotlib's cache. Ratios are of
pairs of runs; below 1 this checkout is faster. Processor seconds tell also where others use the machine.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

from experiments.benchmark import HOME, processor, spread

COMMAND = ["method=kmeans", "data=digits"]


class Times(NamedTuple):
    """Seconds of a command: until its scores are printed, until it has ended, and of processors."""

    scores: float
    seconds: float
    processors: float


def timed(checkout: Path, arguments: list[str]) -> Times:
    """Run the command in a checkout."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "cmc.run", *arguments, f"hydra.run.dir={folder}/run"]
        environment = os.environ | {"PYTHONPATH": str(checkout), "COLUMNS": "200", "PYTHONUNBUFFERED": "1"}
        began, used = time.perf_counter(), _used()
        scored = 0.0
        with subprocess.Popen(
            command, cwd=checkout, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as run:
            assert run.stdout is not None
            for line in run.stdout:
                if "ACC" in line and not scored:
                    scored = time.perf_counter() - began
            assert run.stderr is not None
            told = run.stderr.read()
        ended = time.perf_counter() - began
        if run.returncode:
            sys.exit(told)
    return Times(scored, ended, _used() - used)


def _used() -> float:
    """Processor seconds of all processes that this one started and that have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def compared(before: Path, arguments: list[str], repeats: int) -> dict[str, Any]:
    """Median, least and largest of seconds and of ratios."""
    places = {"before": before, "after": HOME}
    for place in places.values():
        timed(place, arguments)
    found: dict[str, list[Times]] = {name: [] for name in places}
    for _ in range(repeats):
        for name, place in places.items():
            found[name].append(timed(place, arguments))
    table: dict[str, Any] = {"processor": processor(), "command": " ".join(["python -m cmc.run", *arguments])}
    for kind in Times._fields:
        each = {name: [getattr(run, kind) for run in runs] for name, runs in found.items()}
        ratios = [after / before for before, after in zip(each["before"], each["after"], strict=True)]
        table[kind] = {name: spread(values) for name, values in each.items()} | {"ratio": spread(ratios)}
    return table | {"repeats": repeats}


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(prog="python -m experiments.startup", description=__doc__.partition("\n")[0])
    parser.add_argument("before", type=Path, help="another checkout")
    parser.add_argument("overrides", nargs="*", default=COMMAND, help="of the command")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--out", type=Path, default=HOME / "experiments" / "results" / "startup.json")
    given = parser.parse_intermixed_args()
    found = compared(given.before.resolve(), given.overrides or COMMAND, given.repeats)
    given.out.write_text(json.dumps(found, indent=1) + "\n")
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
