"""The leaderboard's tables and picture, of runs in ``RUNS/DATA/METHOD/seedN``."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from statistics import fmean, stdev
from typing import NamedTuple

from cmc.errors import UserError
from cmc.figures.style import save
from cmc.reporting.runs import Run, noting, read_run
from cmc.reporting.tables import write_csv
from cmc.utils.atomic import atomic_write
from experiments.ranks import Standing, diagram, standing

FIGURES = {
    "acc": "ACC",
    "nmi": "NMI",
    "ari": "ARI",
    "agreement": "agreement",
    "agreement_held_out": "held-out agreement",
}


class Board(NamedTuple):
    """What a folder of runs holds.

    Attributes:
        runs: data -> method -> its runs, ordered by seed.
        failed: data -> method -> why its runs failed.
        notes: what a reader should know.
    """

    runs: Mapping[str, Mapping[str, Sequence[Run]]]
    failed: Mapping[str, Mapping[str, str]]
    notes: Sequence[str]


def read(folder: Path) -> Board:
    """Read all runs; what cannot be read, or is of other data than the most, is left out and noted.

    Raises:
        UserError: there is no run that can be read.
    """
    runs: dict[str, dict[str, list[Run]]] = defaultdict(lambda: defaultdict(list))
    failed: dict[str, dict[str, str]] = defaultdict(dict)
    notes: list[str] = []
    for path in sorted(folder.glob("*/*/seed*"), key=lambda p: (p.parts[-3], p.parts[-2], len(p.name), p.name)):
        data, method = path.parts[-3], path.parts[-2]
        if (path / "metrics.json").exists():
            with noting(notes, path):
                runs[data][method].append(read_run(path))
        elif (path / "failed.txt").exists():
            failed[data][method] = (path / "failed.txt").read_text(encoding="utf-8").strip()
    if not any(each for methods in runs.values() for each in methods.values()):
        raise UserError(f"{folder}: no finished run below that can be read")
    return Board({data: _of_one(data, methods, notes) for data, methods in runs.items()}, failed, notes)


def _of_one(data: str, methods: Mapping[str, Sequence[Run]], notes: list[str]) -> dict[str, Sequence[Run]]:
    """The runs on the data that most runs of this name are of, and a note on runs of several versions."""
    counts = Counter(run.fingerprint for runs in methods.values() for run in runs)
    most = counts.most_common(1)[0][0]
    kept: dict[str, Sequence[Run]] = {}
    for method, runs in methods.items():
        others = (run for run in runs if run.fingerprint != most)
        notes += (f"{run.folder}: left out: other data of this name (fingerprint {run.fingerprint})" for run in others)
        if own := [run for run in runs if run.fingerprint == most]:
            kept[method] = own
        if len(versions := {str(run.report.get("git_commit"))[:7] for run in own}) > 1:
            notes.append(f"{data}, {method}: runs of several versions ({', '.join(sorted(versions))})")
        if len(epochs := {run.epochs for run in own}) > 1:
            notes.append(f"{data}, {method}: runs of {' and '.join(map(str, sorted(epochs, key=str)))} epochs")
    return kept


def write(folder: Path, out: Path) -> str:
    """Write ``leaderboard.md``, ``leaderboard.csv`` and ``ranks.png`` of a folder of runs.

    Returns:
        The table of mean ranks, to print.

    Raises:
        UserError: there is no run that can be read.
    """
    board = read(folder)
    found = standing(_compared(board))
    out.mkdir(parents=True, exist_ok=True)
    if found.data:
        save(diagram(found), out / "ranks", ["png"])
    write_csv(out / "leaderboard.csv", list(_records(board)))
    parts = ["# Leaderboard", _how(board), *_ranking(found), _scores(board, found), *_sets(board), *_notes(board)]
    with atomic_write(out / "leaderboard.md") as path:
        path.write_text("\n\n".join(parts) + "\n", encoding="utf-8")
    return "\n".join(_ranking(found)[-1:]) or _scores(board, found)


def _compared(board: Board) -> dict[str, dict[str, float]]:
    """Data -> method -> mean ACC, of methods that are on every data set that has labels."""
    means = {
        data: {method: fmean(values) for method, runs in methods.items() if (values := _values(runs, "acc"))}
        for data, methods in board.runs.items()
    }
    means = {data: each for data, each in means.items() if each}
    everywhere = set.intersection(*(set(each) for each in means.values())) if means else set()
    return {data: {method: each[method] for method in sorted(everywhere)} for data, each in means.items()}


def _values(runs: Iterable[Run], figure: str) -> list[float]:
    return [run.figures[figure] for run in runs if figure in run.figures]


def _spread(values: Sequence[float], digits: int = 3) -> str:
    if not values:
        return ""
    return f"{fmean(values):.{digits}f}" + (f" ± {stdev(values):.{digits}f}" if len(values) > 1 else "")


def _how(board: Board) -> str:
    epochs = {
        run.config.get("max_phase_epochs") for methods in board.runs.values() for r in methods.values() for run in r
    }
    bounds = sorted(int(n) for n in epochs if n is not None)
    short = f" No phase of any method lasted longer than {bounds[0]} epochs." if len(epochs) == 1 and bounds else ""
    return (
        "Mean ± standard deviation (n - 1) over seeds of the last epoch, at each method's default settings; labels are "
        f"used for scoring alone.{short} Made by `python -m experiments.leaderboard`, which also adds a method or data "
        "of yours ([how](adding-a-method.md)); how each score is made: [results](results.md)."
    )


def _ranking(found: Standing) -> list[str]:
    """The picture, and the table of mean ranks; nothing where no data set has all methods."""
    if not found.data:
        return []
    head = ["| method | mean rank | standard deviation | ranks |", "|---|---|---|---|"]
    rows = [
        f"| `{method}` | {mean:.2f} | {stdev(ranks) if len(ranks := found.ranks[method]) > 1 else 0:.2f} | "
        f"{', '.join(f'{rank:g}' for rank in ranks)} |"
        for method, mean in found.means.items()
    ]
    told = (
        f"Ranks by mean ACC on {', '.join(found.data)}, of methods that have run on all of them; equals share theirs."
    )
    if not math.isnan(found.p):
        told += (
            f" That all are alike has p = {found.p:.2g} (Friedman); two differ from {found.difference:.2f} ranks on "
            "(Nemenyi, 5 %). Few data sets tell few differences."
        )
    return ["## Ranks", told, "![Mean ranks, and which methods do not differ](ranks.png)", "\n".join([*head, *rows])]


def _scores(board: Board, found: Standing) -> str:
    """ACC of every method on every data set."""
    data = sorted(board.runs)
    methods = sorted(
        {method for each in (*board.runs.values(), *board.failed.values()) for method in each},
        key=lambda method: (found.means.get(method, math.inf), method),
    )
    lines = [f"| method | {' | '.join(data)} |", "|---" * (len(data) + 1) + "|"]
    for method in methods:
        cells = (
            _spread(_values(board.runs[name].get(method, ()), "acc")) or _why(board, name, method) for name in data
        )
        lines.append(f"| `{method}` | {' | '.join(cells)} |")
    return "\n".join(["## ACC", "", *lines])


def _why(board: Board, data: str, method: str) -> str:
    return "failed" if method in board.failed.get(data, {}) else ""


def _sets(board: Board) -> list[str]:
    """A table a data set: all figures, seconds and runs."""
    parts = []
    for data in sorted(board.runs):
        titles = [*FIGURES.values(), "s a run", "runs"]
        lines = [f"| method | {' | '.join(titles)} |", "|---" * (len(titles) + 1) + "|"]
        for method, runs in sorted(board.runs[data].items(), key=lambda item: -fmean(_values(item[1], "acc") or [0])):
            seconds = [run.seconds for run in runs if run.seconds is not None]
            cells = [*(_spread(_values(runs, name)) for name in FIGURES), _spread(seconds, 0), str(len(runs))]
            lines.append(f"| `{method}` | {' | '.join(cells)} |")
        parts.append("\n".join([f"## {data}", "", *lines]))
    return parts


def _notes(board: Board) -> list[str]:
    """What failed and why, and what was left out."""
    why = [
        f"`{m}` on {data}: {line}" for data, each in sorted(board.failed.items()) for m, line in sorted(each.items())
    ]
    lines = [*why, *board.notes]
    return ["\n".join(["## Notes", "", *(f"- {line}" for line in lines)])] if lines else []


def _records(board: Board) -> Iterable[dict[str, object]]:
    """One a run."""
    for data, methods in sorted(board.runs.items()):
        for method, runs in sorted(methods.items()):
            for run in runs:
                yield {
                    "data": data,
                    "method": method,
                    "seed": run.seed,
                    "epochs": run.epochs,
                    **{name: run.figures.get(name, "") for name in (*FIGURES, "purity")},
                    "seconds": run.seconds,
                    "peak_memory_mib": run.memory,
                    **{key: run.report.get(key, "") for key in ("device", "precision", "git_commit")},
                    "fingerprint": run.fingerprint,
                }
