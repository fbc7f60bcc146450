"""DMIM over seeds on the development sets: its default, that of before, and what its networks can be judged by.

    python -m experiments.study --data FOLDER                   # on one core; some hours
    python -m experiments.study --data FOLDER --workers 2 --only dmim:digits networks

Runs go to ``multirun/study/VARIANT/SET/SEED``, of one thread each, the first seeds of all sets first; those that are
finished there are not run again. ``results/study.csv`` gets their rows, ``results/networks.csv`` a row a network, and
study.md the tables between its markers. Whatever it is stopped by, the next call goes on.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import mean, stdev
from typing import Any, NamedTuple

from cmc.reporting.runs import noting, read_run
from cmc.reporting.tables import write_csv
from cmc.utils.atomic import atomic_write
from experiments.networks import correlations, gathered
from experiments.reproduce import HOME, LEAN, RESULTS, TABLES, as_table, with_tables

PAGE = HOME / "experiments" / "study.md"
SETS = [name for name, table in TABLES.items() if table.development]
FIGURES = ("acc", "nmi", "ari", "agreement", "agreement_held_out", "balance")
_OTHERS = {
    "all": "{input_noise: 0.7}",
    "constant": "{components: 20, input_noise: 0.7, final_noise: 0.7}",
    "no_noise": "{components: 20}",
    "falling": "{components: 200, shared: 50, input_noise: 0.7}",
}


class Variant(NamedTuple):
    """A setting of DMIM, and for how many seeds it is run."""

    seeds: int
    overrides: tuple[str, ...] = ()


VARIANTS = {
    "dmim": Variant(10),
    "before": Variant(
        3,
        (
            *("~method.candidates.few", "~method.candidates.shared"),
            *("method.restarts=5", "method.halvings=[]", "method.validation=0", "method.phases.finish.epochs=0"),
            *("data.holdout=0.2", "data.scaling=minmax"),
        ),
    ),
    "networks": Variant(
        1,
        (
            *(f"+method.candidates.{name}={settings}" for name, settings in _OTHERS.items()),
            *("method.restarts=2", "method.halvings=[]", "method.phases.finish.epochs=0"),
            "+callbacks.networks._target_=experiments.networks.Networks",
        ),
    ),
}


class Job(NamedTuple):
    """A run."""

    variant: str
    data: str
    seed: int

    def folder(self, runs: Path) -> Path:
        """Where it goes."""
        return runs / self.variant / self.data / str(self.seed)


def jobs(only: Iterable[str]) -> list[Job]:
    """All of them, or those of the variants or ``VARIANT:SET`` that are named, the first seeds first."""
    chosen = set(only)
    found = [
        [Job(name, data, seed) for name, variant in VARIANTS.items() if seed < variant.seeds for data in SETS]
        for seed in range(max(variant.seeds for variant in VARIANTS.values()))
    ]
    every = [job for seeds in found for job in seeds]
    return [job for job in every if not chosen or {job.variant, f"{job.variant}:{job.data}"} & chosen]


def run(job: Job, runs: Path, data: str) -> None:
    """Run a job, unless it is finished."""
    folder = job.folder(runs)
    if (folder / "metrics.json").exists():
        return
    where = [override.format(data) for override in TABLES[job.data].overrides]
    shown = ["names.method=" + job.variant, "names.data=" + job.data, f"seed={job.seed}", "trainer.precision=32-true"]
    command = [sys.executable, "-m", "cmc.run", "method=dmim", *where, *VARIANTS[job.variant].overrides, *shown, *LEAN]
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "said.txt").open("w") as said:
        env = {**os.environ, "OMP_NUM_THREADS": "1"}
        told = [*command, f"hydra.run.dir={folder}"]
        done = subprocess.run(told, cwd=HOME, stdout=said, stderr=said, env=env, check=False)
    print(*job, "finished" if not done.returncode else f"failed, see {folder / 'said.txt'}", flush=True)


def records(every: Iterable[Job], runs: Path) -> list[dict[str, Any]]:
    """A row a finished run."""
    rows, skipped = [], []
    for job in every:
        if not (job.folder(runs) / "metrics.json").exists():
            continue
        with noting(skipped, job.folder(runs)):
            made = read_run(job.folder(runs))
            row = {**job._asdict(), "epochs": made.epochs, **{key: made.figures.get(key, "") for key in FIGURES}}
            facts = {key: made.report.get(key, "") for key in ("device", "precision", "git_commit")}
            rows.append({**row, "seconds": made.seconds, "peak_memory_mib": made.memory, **facts})
    for line in skipped:
        print(line, file=sys.stderr)
    return rows


def summary(rows: Iterable[Mapping[str, Any]]) -> list[dict[str, str]]:
    """Means over seeds, a row a variant and a data set."""
    groups: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for row in rows:
        groups.setdefault((row["data"], row["variant"]), []).append(row)
    return [
        {
            **{"data": data, "variant": variant},
            **{key: _mean(row[key] for row in groups[data, variant]) for key in (*FIGURES, "seconds")},
            "runs": str(len(groups[data, variant])),
        }
        for data, variant in sorted(groups)
    ]


def _mean(values: Iterable[Any]) -> str:
    known = [float(value) for value in values if value not in ("", None)]
    if not known:
        return ""
    return f"{mean(known):.3f} ± {stdev(known):.3f}" if len(known) > 1 else f"{known[0]:.3f}"


def write(runs: Path) -> None:
    """Write the tables of what is there."""
    every = jobs(())
    rows = [row for row in records(every, runs) if row["variant"] != "networks"]
    networks = gathered(job.folder(runs) for job in every if job.variant == "networks")
    tables = {}
    if rows:
        write_csv(RESULTS / "study.csv", rows)
        tables["study"] = as_table(summary(rows))
    if networks:
        write_csv(RESULTS / "networks.csv", networks)
        tables["networks"] = correlations(networks)
    text = with_tables(PAGE.read_text(encoding="utf-8"), tables)
    with atomic_write(PAGE) as path:
        path.write_text(text, encoding="utf-8")
    print(*tables.values(), sep="\n")


def main() -> None:
    """Run, write, print."""
    parser = argparse.ArgumentParser(prog="python -m experiments.study")
    parser.add_argument("--data", default=os.environ.get("CMC_REAL_DATA", "data"), help="folder of the data files")
    parser.add_argument("--runs", type=Path, default=HOME / "multirun" / "study", help="where the runs go, or lie")
    parser.add_argument("--workers", type=int, default=1, help="runs at once, of one thread each")
    parser.add_argument("--only", nargs="+", default=[], metavar="VARIANT[:SET]", help=f"of {', '.join(VARIANTS)}")
    given = parser.parse_args()
    runs = given.runs.resolve()
    with ThreadPoolExecutor(given.workers) as pool:
        list(pool.map(lambda job: run(job, runs, given.data), jobs(given.only)))
    write(runs)


if __name__ == "__main__":
    main()
