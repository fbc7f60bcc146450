"""Run a named table, seeds 0 to 4, and write its CSV and its Markdown.

    python -m experiments.reproduce digits
    python -m experiments.reproduce mnist_usps --data FOLDER      # the folder of the development sets' files

Runs go to ``multirun/reproduce/NAME/METHOD``; those that are finished there are not run again. ``results/NAME.csv``
has a row a run, with its commit and precision (on CPUs with AMX both methods train in bf16-mixed), and
``results/NAME.md`` the table; methods of which no run lies there keep the rows that they have. docs/results.md shows
some columns of all tables, the README the ACC of some methods on some data sets.
"""

from __future__ import annotations

import argparse
import csv
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from cmc.reporting.rows import Row, gather
from cmc.reporting.runs import Run, find, noting, read_run
from cmc.reporting.tables import markdown, run_records, write_csv
from cmc.utils.atomic import atomic_write
from cmc.utils.progress import bars

HOME = Path(__file__).resolve().parents[1]
RESULTS = HOME / "experiments" / "results"
README, PAGE = HOME / "README.md", HOME / "docs" / "results.md"
IN_README = {"digits": "digits", "synthetic": "synthetic", "mnist_usps": "MNIST-USPS", "event": "Event"}  # its columns
COLUMNS = ("method", "epochs", "ACC", "NMI", "ARI", "agreement", "held-out agreement", "ARI of two seeds", "runs")
SEEDS = 5
LEAN = ["~callbacks.figures", "callbacks.results.embeddings=false", "evaluate_every=0"]


class Entry(NamedTuple):
    """A line of a table: the name of its sweep's folder, and what is overridden."""

    name: str
    overrides: tuple[str, ...]


class Table(NamedTuple):
    """What a table is of.

    Attributes:
        overrides: that choose its data; ``{}`` is the folder of the files.
        modalities: their names.
        development: whether defaults were chosen on it. Both releases are run on these alone.
    """

    overrides: list[str]
    modalities: tuple[str, ...]
    development: bool = True


METHODS = (
    *(Entry(name, ()) for name in ("cmmc", "cmmc_released", "dmim", "dmim_released")),
    *(Entry(name, ()) for name in ("autoencoder", "simvc", "comvc", "completer", "cvcl", "sem")),
    *(Entry(name, ()) for name in ("idec", "demvc", "sdmvc", "mvcan", "divide", "gcfagg", "rml")),
    *(Entry(name, ()) for name in ("kmeans", "spectral", "cca", "agglomerative", "gmm")),
)
TABLES = {
    "digits": Table(["data=digits"], ("left", "right")),
    "synthetic": Table(["data=synthetic"], ("modality_0", "modality_1")),
    "mnist_usps": Table(["data=files", "data.root={}/mnist_usps.mat"], ("X1", "X2")),
    "youcook": Table(["data=files", "data.root={}/youcook"], ("image", "text")),
    "event": Table(["data=files", "data.root={}/event.npz"], ("view_0", "view_1", "view_2")),
    "handwritten": Table(["data=files", "data.root={}/handwritten.mat"], ("X1", "X2", "X3", "X4", "X5", "X6")),
    "emoji": Table(["data=emoji"], ("image", "text"), development=False),
    "emoji_small": Table(["data=emoji", "features=small"], ("image", "text"), development=False),
}


def entries(name: str) -> list[Entry]:
    """The lines of a table: methods, their released presets, baselines, and k-means on each modality."""
    table = TABLES[name]
    methods = [entry for entry in METHODS if table.development or not entry.name.endswith("_released")]
    alone = [Entry(f"kmeans-{modality}", (f"method.input={modality}",)) for modality in table.modalities]
    return [*methods, *alone]


def run(name: str, entry: Entry, runs: Path, data: str, seeds: int) -> None:
    """Run what is missing of one line's seeds."""
    where = [override.format(data) for override in TABLES[name].overrides]
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
    """Write the table's files, and what the README and docs/results.md show of all tables."""
    records = [{k: v for k, v in record.items() if k != "folder"} for record in run_records(rows)]
    write_csv(RESULTS / f"{name}.csv", with_others(records, _records(name)))
    text = markdown(rows)
    with atomic_write(RESULTS / f"{name}.md") as path:
        path.write_text(as_table(with_others(cells(text), cells(_text(name)))) + _notes(text), encoding="utf-8")
    for shown, tables in ((PAGE, on_page()), (README, {"results": summary()})):
        text = with_tables(shown.read_text(encoding="utf-8"), tables)
        with atomic_write(shown) as path:
            path.write_text(text, encoding="utf-8")


def with_others(new: list[dict[str, Any]], old: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """New rows, and those of the methods that they lack, in the order of `METHODS`; all have the columns of both."""
    columns = list(new[0])
    for before, column in zip([None, *old[0]], old[0], strict=False) if old else ():
        if column not in columns:
            columns.insert(columns.index(before) + 1 if before else 0, column)
    fresh = {row["method"] for row in new}
    order = [entry.name for entry in METHODS]
    rows = [*new, *(row for row in old if row["method"] not in fresh)]
    rows.sort(key=lambda row: (order.index(row["method"].partition(" ")[0]), row["method"]))
    return [{column: row.get(column, "") for column in columns} for row in rows]


def _records(name: str) -> list[dict[str, Any]]:
    path = RESULTS / f"{name}.csv"
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def _notes(text: str) -> str:
    """What stands below a table."""
    return "".join(f"{line}\n" for line in text.splitlines() if line[:1] != "|")


def as_table(rows: list[dict[str, Any]]) -> str:
    """A Markdown table of rows with the same columns."""
    lines = [list(rows[0]), ["---"] * len(rows[0]), *([str(cell) for cell in row.values()] for row in rows)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def with_tables(text: str, tables: Mapping[str, str]) -> str:
    """A page with tables between their markers, ``<!-- NAME -->`` and ``<!-- end NAME -->``.

    Raises:
        SystemExit: a table's markers do not stand in the page once each, in this order.
    """
    for name, table in tables.items():
        begin, end = f"<!-- {name} -->\n", f"<!-- end {name} -->\n"
        if not text.count(begin) == text.count(end) == 1 or text.index(begin) > text.index(end):
            raise SystemExit(f"{begin.strip()} and {end.strip()} must stand in the page, once and in this order")
        text = text[: text.index(begin)] + begin + table + text[text.index(end) :]
    return text


def on_page() -> dict[str, str]:
    """Name -> `COLUMNS` of each table, empty where it was never run."""
    return {name: narrow(_text(name)) for name in TABLES}


def summary() -> str:
    """ACC of every method on the data sets of `IN_README`, a column each, where it was run on one of them.

    K-means on one modality is left out.
    """
    found = {name: {row["method"]: row["ACC"] for row in cells(_text(name))} for name in IN_README}
    return as_table(
        [
            {"method": method.name} | {IN_README[name]: scores.get(method.name, "") for name, scores in found.items()}
            for method in METHODS
            if any(method.name in scores for scores in found.values())
        ]
    )


def _text(name: str) -> str:
    path = RESULTS / f"{name}.md"
    return path.read_text(encoding="utf-8") if path.exists() else ""


def cells(table: str) -> list[dict[str, str]]:
    """Rows of a Markdown table as column -> text."""
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines() if line[:1] == "|"]
    return [dict(zip(lines[0], line, strict=True)) for line in lines[2:]]


def narrow(table: str) -> str:
    """Some of a Markdown table's columns, in the order of `COLUMNS`; those that it lacks are left out."""
    if not (rows := cells(table)):
        return ""
    return as_table([{title: row[title] for title in COLUMNS if title in row} for row in rows])


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
