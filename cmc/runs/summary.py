"""The closing table of a command that scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean, stdev
from typing import Any

from rich.console import Console
from rich.table import Table

from cmc.runs.report import carries_over, nearly_uniform


def show(report: dict[str, Any], unlabelled: str, samples: str = "all samples") -> None:
    """Print the scores of a report as a table; without labels, one line.

    Args:
        report: ``method``, ``data``, ``seed``, ``scores``, ``label_free``, and ``holdout`` where samples were held out.
        unlabelled: ends the line that says that there is nothing to score.
        samples: what the first row is called, where no samples were held out.
    """
    console = Console()
    _scores(console, report, unlabelled, samples)
    measures = report.get("label_free") or {}
    for words in (agreement_in_words(measures), doubt_in_words(measures)):
        if words:
            console.print(words, soft_wrap=True)


def show_all(reports: Sequence[dict[str, Any]], unlabelled: str) -> None:
    """Print the scores of runs that differ in their seed alone: a row each, their mean and standard deviation (n - 1).

    Args:
        reports: as for `show`.
        unlabelled: ends the line that says that there is nothing to score.
    """
    console, (first, *_) = Console(), reports
    named = f"method={first['method']}, data={first['data']}, {len(reports)} seeds"
    if any(report["scores"] is None for report in reports):
        console.print(f"{named}: no labels, nothing to score; {unlabelled}", soft_wrap=True)
        return
    for part, what in (
        ("scores", "training samples" if "holdout" in first else "all samples"),
        ("holdout", "held-out"),
    ):
        if part in first:
            console.print(_table_of_seeds(f"{named}: {what}", reports, part))


def _table_of_seeds(title: str, reports: Sequence[dict[str, Any]], part: str) -> Table:
    keys = ("acc", "nmi", "ari", "purity")
    table = Table(title=title, title_justify="left")
    for column in ("last epoch", "ACC", "NMI", "ARI", "purity"):
        table.add_column(column, justify="left" if column == "last epoch" else "right")
    for report in reports:
        table.add_row(f"seed {report['seed']}", *(f"{report[part][key]:.4f}" for key in keys))
    if len(reports) > 1:
        columns = [[report[part][key] for report in reports] for key in keys]
        table.add_section()
        table.add_row("mean", *(f"{fmean(x):.4f}" for x in columns))
        table.add_row("standard deviation", *(f"{stdev(x):.4f}" for x in columns))
    return table


def agreement_in_words(measures: Mapping[str, float]) -> str:
    """In words, how the modalities' agreement carries over to samples that training has not seen; "" if none are known.

    Args:
        measures: ``label_free`` of ``metrics.json``.
    """
    if "agreement_held_out" not in measures:
        return ""
    seen, unseen = measures["agreement"], measures["agreement_held_out"]
    told = f"agreement of the modalities: {seen:.2f} on training samples, {unseen:.2f} on held-out ones"
    if carries_over(measures):
        return told
    return f"{told}: it does not carry over; pairs of samples were learned by heart"


def doubt_in_words(measures: Mapping[str, float]) -> str:
    """Whether samples belong to any cluster more than to the others; "" where they do.

    Args:
        measures: ``label_free`` of ``metrics.json``.
    """
    if not nearly_uniform(measures):
        return ""
    return f"assignments are nearly uniform (entropy {measures['entropy']:.2f} of log K): no clusters were found"


def _scores(console: Console, report: dict[str, Any], unlabelled: str, samples: str) -> None:
    names = [f"{key}={report[key]}" for key in ("method", "data", "seed")]
    if report["scores"] is None:
        console.print(f"{', '.join(names)}: no labels, nothing to score; {unlabelled}", soft_wrap=True)
        return
    scored = {samples if "holdout" not in report else "training samples": report["scores"]}
    if "holdout" in report:
        scored["held-out samples"] = report["holdout"]
    table = Table(title=" ".join(names), title_justify="left")
    for column in ("last epoch", "ACC", "NMI", "ARI", "purity"):
        table.add_column(column, justify="left" if column == "last epoch" else "right")
    for name, scores in scored.items():
        table.add_row(name, *(f"{scores[key]:.4f}" for key in ("acc", "nmi", "ari", "purity")))
    console.print(table)
