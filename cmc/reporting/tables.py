"""The tables of a report: every run in a row of its own, and mean ± standard deviation over seeds."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from math import comb
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from cmc.reporting.rows import Row, shown
from cmc.reporting.runs import Run
from cmc.runs.report import LABEL_FREE, SCORES
from cmc.utils.atomic import atomic_write

ENOUGH = 5  # runs for a mean; fewer are listed one by one
BEST = (*SCORES, *(f"holdout_{name}" for name in SCORES))  # figures of which the best mean is set in bold
_SCORES = {"acc": "ACC", "nmi": "NMI", "ari": "ARI", "purity": "purity"}
TITLES = (
    _SCORES
    | {f"holdout_{name}": f"held-out {title}" for name, title in _SCORES.items()}
    | {name: name for name in LABEL_FREE}
    | {"agreement_held_out": "held-out agreement"}
    | {"pairs": "ARI of two seeds"}
)
_MEANS = f"Mean ± standard deviation (n - 1) over seeds; fewer than {ENOUGH} runs are listed one by one."
_SURROGATE = (
    "(surrogate): generated data of the same shape stand in for the named set, of which these scores say nothing."
)
_LATEX = str.maketrans(
    {c: f"\\{c}" for c in "&%$#_{}"}
    | {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "±": r"$\pm$"}
    | {"<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}", '"': "''", "[": "{[}"}
)
_MARKDOWN = str.maketrans({c: f"\\{c}" for c in "\\`*[<>|"} | {"&": "&amp;"})


def present(rows: Iterable[Row]) -> list[str]:
    """The figures that any of the rows has, in the tables' order."""
    rows = list(rows)
    return [name for name in TITLES if any(row.values(name) for row in rows)]


def is_mean(row: Row, figure: str) -> bool:
    """Whether a row has runs enough for a mean of this figure; of ``pairs``, all pairs of so many."""
    return len(row.values(figure)) >= (comb(ENOUGH, 2) if figure == "pairs" else ENOUGH)


def cell(row: Row, figure: str) -> str:
    """``mean ± standard deviation`` over the seeds; the values themselves where they are too few for that.

    Of ``pairs``, which share runs, the mean alone. Where some of the row's runs lack the figure, the others' number
    follows.
    """
    values = row.values(figure)
    if not is_mean(row, figure):
        return ", ".join(map(_number, values))
    if figure == "pairs":
        return _number(mean(values))
    fewer = f" ({len(values)} runs)" if len(values) < len(row.runs) else ""
    return f"{_number(mean(values))} ± {_number(stdev(values))}{fewer}"


def _number(value: float) -> str:
    return f"{round(value, 3) + 0.0:.3f}"  # 0.0 takes the sign from -0.0


def best(rows: Iterable[Row]) -> set[tuple[int, str]]:
    """(position of the row, figure) of the best mean of every data set; those that print alike share the place."""
    winners: dict[tuple[str, str], tuple[str, list[int]]] = {}
    for number, row in enumerate(rows):
        for figure in BEST:
            if not is_mean(row, figure):
                continue
            score, place = _number(mean(row.values(figure))), (row.data, figure)
            leader, tied = winners.get(place, ("-inf", []))
            if float(score) > float(leader):
                winners[place] = (score, [number])
            elif score == leader:
                tied.append(number)
    return {(number, figure) for (_, figure), (_, tied) in winners.items() for number in tied}


def markdown(rows: Sequence[Row]) -> str:
    """A table to paste."""
    titles, *body = _text(rows, _MARKDOWN)
    lines = [f"| {' | '.join(cells)} |" for cells in body]
    return "\n".join([f"| {' | '.join(titles)} |", "|---" * len(titles) + "|", *lines, *_notes(rows, "\n{}")]) + "\n"


def latex(rows: Sequence[Row]) -> str:
    """A table for a paper, with booktabs; the best mean of every data set is in bold."""
    titles, *body = _text(rows, _LATEX)
    first = len(titles) - len(present(rows)) - 1
    for number, figure in best(rows):
        column = first + present(rows).index(figure)
        body[number][column] = f"\\textbf{{{body[number][column]}}}"
    lines = ["% \\usepackage{booktabs}", f"\\begin{{tabular}}{{{'l' * (len(titles) - 1)}r}}", "\\toprule"]
    lines += [" & ".join(titles) + " \\\\"]
    for number, (row, cells) in enumerate(zip(rows, body, strict=True)):
        if not number or row.data != rows[number - 1].data:
            lines.append("\\midrule")
        lines.append(" & ".join(cells) + " \\\\")
    return "\n".join([*lines, "\\bottomrule", "\\end{tabular}", *_notes(rows, "% {}")]) + "\n"


def _text(rows: Sequence[Row], escapes: Mapping[int, str]) -> list[list[str]]:
    """The titles, and the cells of every row."""
    figures = present(rows)
    swept = ["setting"] if any(row.setting for row in rows) else []
    table = [["data", "method", *swept, "epochs", *(TITLES[figure] for figure in figures), "runs"]]
    for row in rows:
        names = [row.data, row.method, *(row.label for _ in swept), epochs(row)]
        table.append([*names, *(cell(row, figure) for figure in figures), str(len(row.runs))])
    return [[text.translate(escapes) for text in cells] for cells in table]


def epochs(row: Row) -> str:
    """Of the row's runs."""
    return ", ".join(str(n) for n in sorted({run.epochs for run in row.runs if run.epochs is not None}))


def _notes(rows: Iterable[Row], line: str) -> list[str]:
    notes = [_MEANS]
    notes += [_SURROGATE] if any(run.is_surrogate for row in rows for run in row.runs) else []
    return [line.format(note) for note in notes]


def table_records(rows: Iterable[Row]) -> list[dict[str, Any]]:
    """One record a row: numbers as they are; where the runs are too few for a mean, their values instead."""
    rows = list(rows)
    figures, records = present(rows), []
    for row in rows:
        record: dict[str, Any] = {"data": row.data, "fingerprint": row.runs[0].fingerprint, "method": row.method}
        record |= {"setting": row.label, "epochs": epochs(row), "runs": len(row.runs)}
        record["seeds"] = " ".join(str(run.seed) for run in row.runs)
        for name in figures:
            values, enough = row.values(name), is_mean(row, name)
            record[f"{name}_mean"] = mean(values) if enough else ""
            if name != "pairs":
                record[f"{name}_std"] = stdev(values) if enough else ""
            record[f"{name}_values"] = "" if enough else " ".join(map(repr, values))
        records.append(record)
    return records


def run_records(rows: Iterable[Row]) -> list[dict[str, Any]]:
    """One record a run: what it is, its figures, what it cost, what traces it, and the swept hyper-parameters."""
    rows = list(rows)
    keys = list(dict.fromkeys(key for row in rows for key in row.setting))
    figures = [name for name in present(rows) if name != "pairs"]
    always = [*SCORES, *(name for name in figures if name.startswith("holdout_")), *LABEL_FREE]
    return [_record(row, run, always, keys) for row in rows for run in row.runs]


def _record(row: Row, run: Run, figures: Iterable[str], keys: Iterable[str]) -> dict[str, Any]:
    report: Mapping[str, Any] = run.report
    return {
        "method": run.method,
        "data": run.data,
        "seed": run.seed,
        "epochs": run.epochs,
        **{name: run.figures.get(name, "") for name in figures},
        "seconds": run.seconds,
        "peak_memory_mib": run.memory,
        **{key: report.get(key, "") for key in ("device", "processes", "precision", "git_commit")},
        "fingerprint": run.fingerprint,
        "n_samples": run.facts.get("n_samples", ""),
        "n_clusters": report.get("n_clusters", ""),
        "folder": str(run.folder),
        **{key: shown(row.setting[key]) if key in row.setting else "" for key in keys},
    }


def write_csv(path: Path, records: Sequence[Mapping[str, Any]]) -> None:
    """Write records, whose keys are the columns."""
    with atomic_write(path) as unfinished, unfinished.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(records[0]))
        writer.writeheader()
        writer.writerows(records)


def write_tables(rows: Sequence[Row], out: Path) -> None:
    """Write ``runs.csv``, ``table.csv``, ``table.md`` and ``table.tex``."""
    write_csv(out / "runs.csv", run_records(rows))
    write_csv(out / "table.csv", table_records(rows))
    for name, text in (("table.md", markdown(rows)), ("table.tex", latex(rows))):
        with atomic_write(out / name) as path:
            path.write_text(text, encoding="utf-8")
