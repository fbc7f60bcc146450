"""Run a named table, seeds 0 to 4, and write its CSV and its Markdown.

    python -m experiments.reproduce digits
    python -m experiments.reproduce mnist_usps --data FOLDER      # the folder of the development sets' files

Runs go to ``multirun/reproduce/NAME/METHOD``; those that are finished there are not run again. ``results/NAME.csv``
has a row a run, with its commit and precision (on CPUs with AMX both methods train in bf16-mixed), and
``results/NAME.md`` the table; the README shows some columns of those of digits and synthetic.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from cmc.reporting.rows import Row, gather
from cmc.reporting.runs import Run, find, noting, read_run
from cmc.reporting.tables import markdown, run_records, write_csv
from cmc.utils.atomic import atomic_write
from cmc.utils.progress import bars

HOME = Path(__file__).resolve().parents[1]
RESULTS = HOME / "experiments" / "results"
README = HOME / "README.md"
IN_README = ("digits", "synthetic")
COLUMNS = ("data", "method", "epochs", "ACC", "NMI", "ARI", "agreement", "ARI of two seeds", "runs")
SEEDS = 5
LEAN = ["~callbacks.figures", "callbacks.results.embeddings=false", "evaluate_every=0"]


class Entry(NamedTuple):
    """A line of a table: the name of its sweep's folder, and what is overridden."""

    name: str
    overrides: tuple[str, ...]


METHODS = (
    *(Entry(name, ()) for name in ("cmmc", "cmmc_released", "dmim", "dmim_released")),
    *(Entry(name, ()) for name in ("kmeans", "spectral", "cca", "agglomerative", "gmm")),
)
TABLES = {
    "digits": (["data=digits"], ("left", "right")),
    "synthetic": (["data=synthetic"], ("modality_0", "modality_1")),
    "mnist_usps": (["data=files", "data.root={}/mnist_usps.mat"], ("X1", "X2")),
    "youcook": (["data=files", "data.root={}/youcook"], ("image", "text")),
    "event": (["data=files", "data.root={}/event.npz"], ("view_0", "view_1", "view_2")),
    "handwritten": (["data=files", "data.root={}/handwritten.mat"], ("X1", "X2", "X3", "X4", "X5", "X6")),
}


def entries(name: str) -> list[Entry]:
    """The lines of a table: methods, their released presets, baselines, and k-means on each modality."""
    alone = [Entry(f"kmeans-{modality}", (f"method.input={modality}",)) for modality in TABLES[name][1]]
    return [*METHODS, *alone]


def run(name: str, entry: Entry, runs: Path, data: str, seeds: int) -> None:
    """Run what is missing of one line's seeds."""
    where = [override.format(data) for override in TABLES[name][0]]
    chosen = [f"method={entry.name.partition('-')[0]}", *entry.overrides, f"seed=range({seeds})"]
    folder = ["resume_sweep=true", f"hydra.sweep.dir={runs / name / entry.name}"]
    command = [sys.executable, "-m", "cmc.run", "-m", *chosen, *where, *LEAN, *folder]
    print(" ".join(command[1:]), flush=True)
    subprocess.run(command, cwd=HOME, check=True)


def rows_of(folder: Path) -> list[Row]:
    """The finished runs below a folder, in the order of `METHODS`."""
    runs: list[Run] = []
    skipped: list[str] = []
    for path in find([folder]):
        with noting(skipped, path):
            runs.append(read_run(path))
    with bars() as (advance, begin):
        rows, lines = gather(runs, advance, begin)
    for line in [*skipped, *lines]:
        print(line, file=sys.stderr)
    order = [entry.name for entry in METHODS]
    return sorted(rows, key=lambda row: (order.index(row.method.partition(" ")[0]), row.method))


def write(name: str, rows: list[Row]) -> None:
    """Write the table's files and, where it is shown there, the README's part."""
    records = run_records(rows)
    write_csv(RESULTS / f"{name}.csv", [{k: v for k, v in record.items() if k != "folder"} for record in records])
    with atomic_write(RESULTS / f"{name}.md") as path:
        path.write_text(markdown(rows), encoding="utf-8")
    if name in IN_README:
        with atomic_write(README) as path:
            path.write_text(with_tables(README.read_text(encoding="utf-8"), IN_README), encoding="utf-8")


def with_tables(text: str, names: Iterable[str]) -> str:
    """The README with `COLUMNS` of the tables between its markers, ``<!-- NAME -->`` and ``<!-- end NAME -->``."""
    for name in names:
        begin, end = f"<!-- {name} -->\n", f"<!-- end {name} -->\n"
        if not text.count(begin) == text.count(end) == 1 or text.index(begin) > text.index(end):
            raise SystemExit(f"{README}: {begin.strip()} and {end.strip()} must stand in it, once and in this order")
        table = RESULTS / f"{name}.md"
        shown = narrow(table.read_text(encoding="utf-8")) if table.exists() else ""
        text = text[: text.index(begin)] + begin + shown + text[text.index(end) :]
    return text


def narrow(table: str) -> str:
    """Some of a Markdown table's columns, in their order there."""
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines() if line[:1] == "|"]
    kept = [place for place, title in enumerate(rows[0]) if title in COLUMNS]
    return "".join(f"| {' | '.join(row[place] for place in kept)} |\n" for row in rows)


def main() -> None:
    """Run, write, print."""
    parser = argparse.ArgumentParser(prog="python -m experiments.reproduce")
    parser.add_argument("name", choices=TABLES)
    parser.add_argument("--data", default=os.environ.get("CMC_REAL_DATA", "data"), help="folder of the data files")
    parser.add_argument("--runs", type=Path, default=HOME / "multirun" / "reproduce", help="where the runs go, or lie")
    parser.add_argument("--seeds", type=int, default=SEEDS, help="fewer than 5: the table is printed alone")
    parser.add_argument("--only", nargs="+", metavar="LINE", help="run these lines; the table has all that there are")
    given = parser.parse_args()
    lines = {entry.name: entry for entry in entries(given.name)}
    if unknown := set(given.only or ()) - lines.keys():
        parser.error(f"--only: no such line: {', '.join(sorted(unknown))}; there are {', '.join(lines)}")
    for name, entry in lines.items():
        if given.only is None or name in given.only:
            run(given.name, entry, given.runs.resolve(), given.data, given.seeds)
    rows = rows_of(given.runs / given.name)
    if given.seeds >= SEEDS:
        write(given.name, rows)
    print(markdown(rows))


if __name__ == "__main__":
    main()
