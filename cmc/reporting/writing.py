"""The whole report: runs are read, sorted into rows, and written as tables, figures and one page."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from cmc.errors import UserError
from cmc.reporting.carried import carried
from cmc.reporting.details import Projection
from cmc.reporting.rows import gather
from cmc.reporting.runs import Run, noting, read_run
from cmc.reporting.tables import markdown, write_tables
from cmc.utils.progress import Step, bars


def write(folders: Sequence[Path], out: Path, projection: Projection) -> None:
    """Read runs and write the whole report; print its table, and what a reader should know to standard error.

    Args:
        folders: of runs, finished or not.
        out: where ``runs.csv``, ``table.csv``, ``table.md``, ``table.tex``, ``figures/`` and ``report.html`` go.
        projection: of the page's embeddings.

    Raises:
        UserError: none of the folders holds a finished run that can be read, or a package is missing.
    """
    from cmc.reporting.figures import write_figures
    from cmc.reporting.webpage import plotly_source, write_page

    plotly = plotly_source()
    with bars() as (advance, begin):
        runs, skipped = _read(folders, advance, begin)
    _tell(skipped)
    if not runs:
        raise UserError("no finished run that can be read")
    with bars() as (advance, begin):
        rows, lines = gather(runs, advance, begin)
    lines += carried(rows)
    _tell(lines)
    write_tables(rows, out)
    with bars() as (advance, begin):
        write_figures(rows, out / "figures", advance, begin)
        unseen = write_page(out / "report.html", rows, [*skipped, *lines], projection, plotly, advance, begin)
    _tell(unseen)
    print(markdown(rows), end="")
    _tell([f"written: {out}/report.html, table.md, table.tex, table.csv, runs.csv, figures/"])


def _read(folders: Sequence[Path], advance: Step, begin: Step) -> tuple[list[Run], list[str]]:
    """The runs, and a line for every folder that is skipped."""
    runs: list[Run] = []
    skipped: list[str] = []
    begin("runs", len(folders))
    for folder in folders:
        with noting(skipped, folder):
            runs.append(read_run(folder))
        advance("runs", 1)
    return runs, [f"skipped {line}" for line in skipped]


def _tell(lines: Iterable[str]) -> None:
    for line in lines:
        print(line, file=sys.stderr)
