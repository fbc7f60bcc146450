"""The open leaderboard: methods x data sets x seeds, run in any order and by any number of machines, ranked.

    python -m experiments.leaderboard                                     # run what is missing, and write the page
    python -m experiments.leaderboard --methods dmim cmmc --data digits event --seeds 0 1
    python -m experiments.leaderboard --methods mine --conf ../mine/conf  # a method of yours, or a data set
    python -m experiments.leaderboard --only-write

Each run is ``python -m cmc.run`` with default settings, in ``RUNS/DATA/METHOD/seedN``. What is finished there is not
run again, what was stopped goes on, what another process is at work on is left to it: the same command may run on
several machines that share the folder. A run that fails leaves ``failed.txt``, its cell says why, the others go on;
``--again`` tries those anew. RUNS gets ``leaderboard.md``, ``leaderboard.csv`` and ``ranks.png``; ``--publish`` writes
docs/leaderboard.md with its picture, too. Scores are those of the last epoch; labels are used for scoring alone.

The rule for long runs: ``--epochs N`` lets no phase of any method last longer, and the page says so.
"""

from __future__ import annotations

import argparse
import fcntl
import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from cmc.config.schema import conf_dir
from cmc.errors import UserError
from cmc.runs.lock import is_locked
from cmc.utils.progress import bars
from experiments.leaderboard_page import write
from experiments.reproduce import LEAN, TABLES

HOME = Path(__file__).resolve().parents[1]
FAILED = "failed.txt"
SETS = ("digits", "synthetic", "mnist_usps", "handwritten", "event", "youcook")
BASELINES = ("kmeans", "spectral", "cca", "agglomerative", "gmm")


class Cell(NamedTuple):
    """One run of the board."""

    data: str
    method: str
    seed: int

    def folder(self, runs: Path) -> Path:
        """Where it lies."""
        return runs / self.data / self.method / f"seed{self.seed}"


def all_methods() -> list[str]:
    """Deep methods that have a yaml, without the releases' presets, and the baselines."""
    names = sorted(path.stem for path in (conf_dir() / "method").glob("[!_]*.yaml"))
    deep = [name for name in names if name not in BASELINES and not name.endswith(("_released", "_paper"))]
    return [*deep, *BASELINES]


def missing(cells: Sequence[Cell], runs: Path, again: bool) -> Iterator[Cell]:
    """Those that are neither finished nor failed nor in another process's hands, as it is when each is asked for."""
    for cell in cells:
        folder = cell.folder(runs)
        if (folder / "metrics.json").exists() or (not again and (folder / FAILED).exists()):
            continue
        if folder.exists() and is_locked(folder):
            continue
        yield cell


def run(cell: Cell, runs: Path, files: str, conf: Path | None, epochs: int | None) -> str | None:
    """Run one, or go on with it; what it says where it failed."""
    folder = cell.folder(runs)
    where = TABLES[cell.data].overrides if cell.data in TABLES else [f"data={cell.data}"]
    command = [sys.executable, "-m", "cmc.run", f"method={cell.method}", *(part.format(files) for part in where)]
    command += [f"names.data={cell.data}", f"seed={cell.seed}", *LEAN, "callbacks.gallery=null", "resume=auto"]
    command += [f"max_phase_epochs={epochs}"] if epochs else []
    command += [f"hydra.searchpath=[file://{conf}]"] if conf else []
    paths = [str(HOME), *([str(conf.parent)] if conf else []), os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}
    done = subprocess.run(
        [*command, f"hydra.run.dir={folder}"], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    said = done.stderr.decode(errors="replace").strip().splitlines()
    if not done.returncode:
        (folder / FAILED).unlink(missing_ok=True)
        return None
    line = (said or [f"ended with status {done.returncode}"])[-1]
    if "another process is at work" in line:
        return None
    if done.returncode in (75, 130, -2, -15):  # asked to stop
        raise KeyboardInterrupt
    folder.mkdir(parents=True, exist_ok=True)
    (folder / FAILED).write_text(f"{line.removeprefix('cmc: error: ')}\n", encoding="utf-8")
    return line


def fill(cells: Sequence[Cell], runs: Path, given: argparse.Namespace) -> None:
    """Run what is missing, one after the other, in an order of this process's own, so that several share the work."""
    order = list(cells)
    random.Random(f"{os.getpid()} {time.time()}").shuffle(order)
    order.sort(key=lambda cell: cell.seed)  # a seed of all before the next
    with bars() as (advance, begin):
        begin("runs", len(order))
        advance("runs", len(order) - len(list(missing(order, runs, given.again))))
        for cell in missing(order, runs, given.again):
            failed = run(cell, runs, given.files, given.conf, given.epochs)
            advance("runs", 1)
            if failed:
                print(f"{cell.data} {cell.method} seed {cell.seed}: {failed}", file=sys.stderr, flush=True)


def main() -> None:
    """Run, rank, write."""
    parser = argparse.ArgumentParser(prog="python -m experiments.leaderboard", description=__doc__.partition("\n")[0])
    parser.add_argument("--methods", nargs="+", default=all_methods(), metavar="NAME")
    parser.add_argument("--data", nargs="+", default=list(SETS), metavar="NAME")
    parser.add_argument("--seeds", nargs="+", type=int, default=list(range(5)), metavar="N")
    parser.add_argument(
        "--runs", type=Path, default=HOME / "multirun" / "leaderboard", help="where the runs go, or lie"
    )
    parser.add_argument("--files", default=os.environ.get("CMC_REAL_DATA", "data"), help="folder of the data files")
    parser.add_argument("--conf", type=lambda text: Path(text).resolve(), help="folder with method/NAME.yaml of yours")
    parser.add_argument("--epochs", type=int, help="of each phase of every method, at most")
    parser.add_argument("--again", action="store_true", help="try anew what failed")
    parser.add_argument("--only-write", action="store_true", help="run nothing")
    parser.add_argument("--publish", action="store_true", help="write docs/leaderboard.md, too")
    given = parser.parse_args()
    runs = given.runs.resolve()
    cells = [Cell(data, method, seed) for seed in given.seeds for data in given.data for method in given.methods]
    if not given.only_write:
        fill(cells, runs, given)
    runs.mkdir(parents=True, exist_ok=True)
    with (runs / ".writing").open("w") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)  # another process may have come to its end, too
        try:
            told = write(runs, runs)
        except UserError as error:
            sys.exit(f"leaderboard: {error}")
    print(told)
    if given.publish:
        shutil.copyfile(runs / "ranks.png", HOME / "docs" / "pictures" / "ranks.png")
        shutil.copyfile(runs / "leaderboard.csv", HOME / "experiments" / "results" / "leaderboard.csv")
        text = (runs / "leaderboard.md").read_text(encoding="utf-8")
        (HOME / "docs" / "leaderboard.md").write_text(text.replace("(ranks.png)", "(pictures/ranks.png)"))


if __name__ == "__main__":
    main()
