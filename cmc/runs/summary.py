"""The closing table of a command that scores."""

from __future__ import annotations

from collections.abc import Mapping
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
