"""Samples that lack modalities: what scores lose, beside training on complete samples alone and k-means.

    python -m experiments.gaps --data FOLDER                       # on one core; a day
    python -m experiments.gaps --data FOLDER --only cmmc:digits --missing 0 0.5 --seeds 2 --workers 2

The ways are ``cmmc`` and ``dmim``, which train on every sample by what it has; ``cmmc_complete`` and ``dmim_complete``,
which train on the complete samples alone and then label all; ``kmeans`` on all features with means in the gaps. Every
way is scored on all samples. Seed s takes modalities away by ``data.missing_seed=s``.

Runs go to ``multirun/gaps/WAY/SET/MISSING/SEED``, of one thread each, the first seeds of all first; those that are
finished there are not run again. ``results/gaps.csv`` gets a row a run, ``results/gaps.md`` the table and
``docs/pictures/gaps.png`` the curves, of what is there. Whatever it is stopped by, the next call goes on.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from shutil import rmtree
from statistics import mean, stdev
from typing import Any, NamedTuple

from cmc.figures.style import PAGE, blank, colour, save, styled
from cmc.reporting.runs import noting, read_run
from cmc.reporting.tables import write_csv
from cmc.runs.folder import has_checkpoint
from cmc.utils.atomic import atomic_write
from experiments.reproduce import HOME, RESULTS, TABLES, as_table

SETS = ("digits", "mnist_usps", "handwritten")
WAYS = {
    "cmmc": ("method=cmmc",),
    "dmim": ("method=dmim",),
    "cmmc_complete": ("method=cmmc", "data.incomplete=drop"),
    "dmim_complete": ("method=dmim", "data.incomplete=drop"),
    "kmeans": ("method=kmeans",),
}
MISSING = (0.0, 0.1, 0.3, 0.5, 0.7)
SCORES = ("acc", "nmi", "ari")
LEAN = ("callbacks.figures=null", "callbacks.gallery=null", "callbacks.results.embeddings=false", "evaluate_every=0")
PICTURE = HOME / "docs" / "pictures" / "gaps"


class Job(NamedTuple):
    """A run: by which way, on which data, of which share of samples a part is missing."""

    way: str
    data: str
    missing: float
    seed: int

    def folder(self, runs: Path) -> Path:
        """Where it goes."""
        return runs / self.way / self.data / f"{self.missing:g}" / str(self.seed)

    @property
    def scored(self) -> str:
        """The file of its folder that holds the scores of all samples."""
        return "evaluation.json" if self.way.endswith("_complete") else "metrics.json"


def jobs(only: Iterable[str] = (), missing: Sequence[float] = MISSING, seeds: int = 5) -> list[Job]:
    """All of them, or those of the ways, or the ``WAY:SET``, that are named; the first seeds first.

    Where nothing is missing all samples are complete, and one way of a method is both.
    """
    chosen = set(only)
    every = [Job(way, data, m, seed) for seed in range(seeds) for m in missing for data in SETS for way in WAYS]
    every = [job for job in every if job.missing or not job.way.endswith("_complete")]
    return [job for job in every if not chosen or {job.way, f"{job.way}:{job.data}"} & chosen]


def run(job: Job, runs: Path, data: str, more: Sequence[str] = ()) -> None:
    """Run a job, unless it is finished, and score on all samples a model of the complete ones.

    Args:
        job: it.
        runs: where runs go.
        data: the folder of the data files.
        more: settings besides.
    """
    folder = job.folder(runs)
    if (folder / job.scored).exists():
        return
    if not (finished := (folder / "metrics.json").exists()) and not has_checkpoint(folder):
        rmtree(folder, ignore_errors=True)  # of a run that was stopped before its first checkpoint
    folder.mkdir(parents=True, exist_ok=True)
    where = [override.format(data) for override in TABLES[job.data].overrides]
    gaps = [f"data.missing={job.missing:g}", f"data.missing_seed={job.seed}", f"seed={job.seed}"]
    shown = [f"names.data={job.data}", f"names.method={job.way}", "trainer.precision=32-true", "trainer.threads=1"]
    anew = [*where, *WAYS[job.way], *gaps, *shown, *LEAN, *more, f"hydra.run.dir={folder}"]
    done = finished or _command(folder, "cmc.run", *([f"resume={folder}"] if has_checkpoint(folder) else anew))
    if done and job.scored == "evaluation.json":
        done = _command(folder, "cmc.evaluate", f"run={folder}", "data.incomplete=use")
    print(*job, "finished" if done else f"failed, see {folder / 'said.txt'}", flush=True)


def _command(folder: Path, module: str, *arguments: str) -> bool:
    """Whether it ended well."""
    with (folder / "said.txt").open("a") as said:
        env = {**os.environ, "OMP_NUM_THREADS": "1"}
        command = [sys.executable, "-m", module, *arguments]
        return not subprocess.run(command, cwd=HOME, stdout=said, stderr=said, env=env, check=False).returncode


def records(every: Iterable[Job], runs: Path) -> list[dict[str, Any]]:
    """A row a finished run: its scores on all samples, and what traces it."""
    rows: list[dict[str, Any]] = []
    skipped: list[str] = []
    for job in every:
        folder = job.folder(runs)
        if not (folder / job.scored).exists():
            continue
        with noting(skipped, folder):
            made, scored = read_run(folder), json.loads((folder / job.scored).read_text(encoding="utf-8"))
            scores = {key: round(scored["scores"][key], 4) for key in SCORES}
            counts = {"trained_on": made.report["features"]["n_samples"], "epochs": made.epochs}
            facts = {key: made.report.get(key, "") for key in ("device", "precision", "git_commit")}
            rows.append({**job._asdict(), **scores, **counts, "seconds": made.seconds, **facts})
    for line in skipped:
        print(line, file=sys.stderr)
    return rows


def grouped(rows: Iterable[Mapping[str, Any]]) -> dict[tuple[str, str], dict[float, list[float]]]:
    """(Data, way) -> share that is missing -> ACC of each seed; where none is, a method's two ways are one."""
    found: dict[tuple[str, str], dict[float, list[float]]] = defaultdict(lambda: defaultdict(list))
    for row in rows:
        share, way = float(row["missing"]), str(row["way"])
        for each in (way, f"{way}_complete") if share == 0 and f"{way}_complete" in WAYS else (way,):
            found[row["data"], each][share].append(float(row["acc"]))
    return found


def table(rows: Iterable[Mapping[str, Any]]) -> str:
    """Mean and standard deviation of ACC over seeds, a row a data set and a way."""
    found = grouped(rows)
    shares = sorted({share for values in found.values() for share in values})
    return as_table(
        [
            {"data": data, "way": way} | {f"{100 * share:g}%": _mean(found[data, way][share]) for share in shares}
            for data, way in sorted(found, key=lambda key: (SETS.index(key[0]), [*WAYS].index(key[1])))
        ]
    )


def _mean(values: Sequence[float]) -> str:
    if not values:
        return ""
    return f"{mean(values):.3f} ± {stdev(values):.3f}" if len(values) > 1 else f"{values[0]:.3f}"


@styled
def draw(rows: Iterable[Mapping[str, Any]], path: Path) -> None:
    """ACC by the share of incomplete samples, a picture a data set, a curve a way.

    Args:
        rows: of ``results/gaps.csv``.
        path: of the picture, without its ending.
    """
    found = grouped(rows)
    sets = [data for data in SETS if any(data == key[0] for key in found)]
    figure = blank(PAGE, 2.4)
    pictures = figure.subplots(1, len(sets), sharey=True, squeeze=False)[0]
    for axes, data in zip(pictures, sets, strict=True):
        for number, way in enumerate(WAYS):
            points = sorted(found[data, way].items()) if (data, way) in found else []
            if points:
                spread = [stdev(values) if len(values) > 1 else 0.0 for _, values in points]
                look = {"color": colour(number), "linestyle": "--" if way.endswith("_complete") else "-"}
                shares, heights = [100 * share for share, _ in points], [mean(values) for _, values in points]
                axes.errorbar(shares, heights, spread, marker="o", markersize=3, capsize=2, label=way, **look)
        axes.set(title=data, xlabel="incomplete samples, %")
    pictures[0].set_ylabel("ACC")
    pictures[0].legend()
    save(figure, path, ["png"])


def write(rows: Sequence[Mapping[str, Any]], results: Path, picture: Path) -> None:
    """Write CSV, table and curves."""
    write_csv(results / "gaps.csv", rows)
    with atomic_write(results / "gaps.md") as path:
        path.write_text(table(rows), encoding="utf-8")
    draw(rows, picture)


def main() -> None:
    """Run, write, print."""
    parser = argparse.ArgumentParser(prog="python -m experiments.gaps")
    parser.add_argument("--data", default=os.environ.get("CMC_REAL_DATA", "data"), help="folder of the data files")
    parser.add_argument("--runs", type=Path, default=HOME / "multirun" / "gaps", help="where the runs go, or lie")
    parser.add_argument("--workers", type=int, default=1, help="runs at once, of one thread each")
    parser.add_argument("--seeds", type=int, default=5, help="how many, from 0")
    parser.add_argument("--missing", type=float, nargs="+", default=MISSING, help="shares of incomplete samples")
    parser.add_argument("--only", nargs="+", default=[], metavar="WAY[:SET]", help=f"of {', '.join(WAYS)}")
    parser.add_argument("--out", type=Path, help="folder of CSV, table and picture; default: where they belong")
    parser.add_argument("--more", nargs="+", default=[], metavar="KEY=VALUE", help="settings besides, to try it out")
    given = parser.parse_args()
    runs, data = given.runs.resolve(), str(Path(given.data).resolve())
    chosen = jobs(given.only, given.missing, given.seeds)
    with ThreadPoolExecutor(given.workers) as pool:
        list(pool.map(lambda job: run(job, runs, data, given.more), chosen))
    if rows := records(jobs(seeds=given.seeds) if given.only or given.missing != MISSING else chosen, runs):
        out = given.out
        write(rows, out or RESULTS, PICTURE if out is None else out / "gaps")
        print(table(rows))


if __name__ == "__main__":
    main()
