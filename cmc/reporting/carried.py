"""What a reader of tables should know of agreement: whether it carries over to samples that training has not seen."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from cmc.reporting.rows import Row
from cmc.runs.report import carries_over


def carried(rows: Sequence[Row]) -> list[str]:
    """A line for every row whose agreement does not carry over, and for data whose runs measure it in two ways."""
    lines = []
    ways: defaultdict[str, list[int]] = defaultdict(lambda: [0, 0])
    for row in rows:
        known = [run.figures for run in row.runs if "agreement_held_out" in run.figures]
        ways[row.data][0] += len(known)
        ways[row.data][1] += sum("quality" in run.figures for run in row.runs) - len(known)
        if lost := [figures for figures in known if not carries_over(figures)]:
            seen, unseen = (sum(f[key] for f in lost) / len(lost) for key in ("agreement", "agreement_held_out"))
            lines.append(
                f"{row.data}, {' '.join(filter(None, (row.method, row.label)))}: agreement does not carry over in "
                f"{len(lost)} of {len(row.runs)} runs: {seen:.2f} on training samples, {unseen:.2f} on held-out ones"
            )
    for data, (unseen_ones, seen_ones) in ways.items():
        if unseen_ones and seen_ones:
            lines.append(
                f"{data}: quality is that of held-out samples in {unseen_ones} runs and of training samples in "
                f"{seen_ones}; the two do not compare"
            )
    return lines
