"""The report's page: one file that needs no network, with the tables, the runs' details and the plotting library."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from statistics import mean, median
from typing import Any

from cmc.reporting.blocks import collect
from cmc.reporting.details import Projection, rounded
from cmc.reporting.figures import GROUPS
from cmc.reporting.rows import Row
from cmc.reporting.runs import Run
from cmc.reporting.tables import BEST, ENOUGH, TITLES, best, cell, is_mean, present
from cmc.runs.embeddings import PROJECTIONS
from cmc.utils.progress import Step
from cmc.webpage import document

BUDGET = 25_000_000  # characters of the runs' details; plotly.js adds 5 million
_SCRIPTS = ("common.js", "board.js", "charts.js", "run.js", "compare.js", "main.js")
_DIGITS = 6  # of a score, of which the page shows 3 after the point


def plotly_source() -> str:
    """plotly.js.

    Raises:
        UserError: a package that the page needs is not there.
    """
    return document.plotly_source("report.html", "report")


def write_page(
    path: Path,
    rows: Sequence[Row],
    notes: Sequence[str],
    projection: Projection,
    plotly: str,
    advance: Step,
    begin: Step,
) -> list[str]:
    """Write the page.

    Args:
        path: where to.
        rows: what the leaderboard lists.
        notes: lines to show beneath it.
        projection: of the embeddings.
        plotly: the source of plotly.js.
        advance: called with a bar's name and the number of runs that are done.
        begin: called with a bar's name and the number of runs.

    Returns:
        A line for everything of a run that cannot be shown, where the notes do not say it.
    """
    runs = [run for row in rows for run in row.runs]
    blocks, told = collect(runs, projection, BUDGET, advance, begin)
    lines = [line for line in told if line not in notes]
    summary = _summary(rows, runs, [*notes, *lines], projection)
    parts = {"report": document.encode(summary)} | {f"run-{number}": block for number, block in enumerate(blocks)}
    document.write_document(path, "cmc.reporting", ["page.css"], _SCRIPTS, parts, plotly)
    return lines


def _summary(rows: Sequence[Row], runs: Sequence[Run], notes: Sequence[str], projection: str) -> dict[str, Any]:
    """What the leaderboard needs: rows and runs by number, and the figures that there are."""
    number, bold = {id(run): i for i, run in enumerate(runs)}, best(rows)
    n_data = len({row.data for row in rows})
    listed = []
    for i, row in enumerate(rows):
        spent = [run.seconds for run in row.runs if run.seconds is not None]
        figures = {name: _cell(row, name, (i, name) in bold) for name in TITLES if row.values(name)}
        listed.append(
            {"id": i, "data": row.data, "method": row.method, "setting": row.label, "n": len(row.runs)}
            | {"seconds": median(spent) if spent else None, "cost": _range(spent), "figures": figures}
            | {"runs": [number[id(run)] for run in row.runs]}
        )
    return {
        "summary": f"{_count(len(runs), 'run')}, {_count(n_data, 'data set')}, {_count(len(rows), 'row')}",
        "enough": ENOUGH,
        "scores": BEST,
        "projection": PROJECTIONS[projection],
        "notes": notes,
        "figures": [{"key": name, "title": TITLES[name], "group": _group(name)} for name in present(rows)],
        "rows": listed,
        "runs": [_run(number[id(run)], row, run) for row in rows for run in row.runs],
    }


def _group(figure: str) -> str:
    """Which of the leaderboard's groups of columns a figure belongs to."""
    return next((group for group, names in GROUPS.items() if figure in names), "label-free")


def _cell(row: Row, figure: str, is_best: bool) -> dict[str, Any]:
    values, enough = row.values(figure), is_mean(row, figure)
    place = rounded(mean(values) if enough else median(values), _DIGITS)
    return {"text": cell(row, figure), "mean": enough, "rank": place, "best": is_best}


def _run(number: int, row: Row, run: Run) -> dict[str, Any]:
    return {
        "id": number,
        "data": row.data,
        "method": row.method,
        "setting": row.label,
        "seed": run.seed,
        "figures": {name: rounded(value, _DIGITS) for name, value in run.figures.items()},
        "seconds": run.seconds,
        "memory": run.memory,
        "device": str(run.report.get("device", "")),
        "commit": str(run.report.get("git_commit", "")),
        "folder": str(run.folder),
    }


def _range(values: Sequence[float]) -> str | None:
    """``8.2 to 9.1``."""
    if not values:
        return None
    ends = (f"{end:.{1 if end < 100 else 0}f}" for end in (min(values), max(values)))
    return " to ".join(dict.fromkeys(ends))


def _count(n: int, what: str) -> str:
    return f"{n} {what}{'' if n == 1 else 's'}"
