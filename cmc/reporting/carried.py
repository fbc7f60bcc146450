"""What a reader of tables should know: whether agreement carries over to unseen samples, whether there are clusters."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from cmc.reporting.rows import Row
from cmc.runs.report import carries_over, nearly_uniform


def carried(rows: Sequence[Row]) -> list[str]:
    """A line for a row whose agreement does not carry over, or without clusters, and for data measured in two ways."""
    lines = []
    ways: defaultdict[str, list[int]] = defaultdict(lambda: [0, 0])
    for row in rows:
        known = [run.figures for run in row.runs if "agreement_held_out" in run.figures]
        ways[row.data][0] += len(known)
        ways[row.data][1] += sum("quality" in run.figures for run in row.runs) - len(known)
        if lost := [figures for figures in known if not carries_over(figures)]:
            seen, unseen = (sum(f[key] for f in lost) / len(lost) for key in ("agreement", "agreement_held_out"))
            lines.append(
                f"{_named(row)}: agreement does not carry over in {len(lost)} of {len(row.runs)} runs: {seen:.2f} on "
                f"training samples, {unseen:.2f} on held-out ones"
            )
        if flat := [run.figures["entropy"] for run in row.runs if nearly_uniform(run.figures)]:
            lines.append(
                f"{_named(row)}: assignments are nearly uniform in {len(flat)} of {len(row.runs)} runs (entropy "
                f"{sum(flat) / len(flat):.2f} of log K): no clusters were found"
            )
    for data, (unseen_ones, seen_ones) in ways.items():
        if unseen_ones and seen_ones:
            lines.append(
                f"{data}: quality is that of held-out samples in {unseen_ones} runs and of training samples in "
                f"{seen_ones}; the two do not compare"
            )
    return lines


def _named(row: Row) -> str:
    return f"{row.data}, {' '.join(filter(None, (row.method, row.label)))}"
