"""From finished runs to one answer and its files: ``choose.json``, ``choose.csv``, ``choose.png``, ``choose.html``."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from math import isfinite
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from cmc.choosing.asked import Asked
from cmc.choosing.found import Found, read_found
from cmc.choosing.measures import Measured, measure
from cmc.choosing.page import page
from cmc.choosing.rule import Answer, recommend
from cmc.errors import UserError
from cmc.runs.tables import table
from cmc.utils.atomic import atomic_write

_PANELS = {
    "shared by modalities, held out (nats)": "information",
    "agreement of runs (ARI)": "stability",
    "silhouette": "silhouette",
}


def choose(folder: Path, runs: Mapping[tuple[int, int], Path], asked: Asked, failed: Mapping[str, str]) -> str:
    """Measure every K, write the files, and say what they come to.

    Args:
        folder: where to.
        runs: (K, seed) -> folder of a finished run.
        asked: what the command asked for.
        failed: name of a run's folder -> why it has no results.

    Returns:
        What is to be printed: the answer, and how to look at it.
    """
    measured = _measured(runs)
    answer = recommend(measured)
    lines = [str(answer), *_gaps(measured, asked, failed)]
    rows = [_row(each, folder) for each in measured]
    with table(folder / "choose.csv") as append:
        append({name: [_cell(row[name]) for row in rows] for name in rows[0]})
    told: dict[str, Any] = {
        **answer._asdict(),
        "line": str(answer),
        "told": lines[1:],
        "data": asked.data,
        "by_k": rows,
    }
    with atomic_write(folder / "choose.json") as path:
        path.write_text(json.dumps(told, indent=2, allow_nan=False) + "\n")
    _draw(folder, measured, answer)
    with atomic_write(folder / "choose.html") as path:
        path.write_text(page(f"How many clusters? {asked.data}", lines, rows, folder, answer.k), encoding="utf-8")
    shown = next((each for each in measured if each.k == answer.k), measured[-1])
    lines.append(f"{folder}/choose.html: the curve and the table; what is in the clusters of a K:")
    lines.append(f"  python -m cmc.gallery {shown.typical}")
    return "\n".join(lines)


def _measured(runs: Mapping[tuple[int, int], Path]) -> list[Measured]:
    """Every K, ascending.

    Raises:
        UserError: the runs are of different data.
    """
    by_k: defaultdict[int, dict[int, Found]] = defaultdict(dict)
    first: tuple[Path, str] | None = None
    for (k, seed), run in runs.items():
        by_k[k][seed], fingerprint = read_found(run)
        first = first or (run, fingerprint)
        if fingerprint != first[1]:
            raise UserError(
                f"data: {run} is of other data than {first[0]}; the data must be the same for every K (data=synthetic "
                "generates as many clusters as are looked for, unless data.generated says how many)"
            )
    return [measure(k, by_k[k]) for k in sorted(by_k)]


def _gaps(measured: Sequence[Measured], asked: Asked, failed: Mapping[str, str]) -> list[str]:
    """What is not there: runs that failed, K at which nothing can be compared."""
    lines = []
    for k in asked.clusters:
        whys = [why for seed in asked.seeds if (why := failed.get(f"k{k}-seed{seed}"))]
        if whys:
            lines.append(f"K = {k}: {len(whys)} of {len(asked.seeds)} runs failed: {whys[0]}")
    unknown: defaultdict[str, list[int]] = defaultdict(list)
    for each in measured:
        if not isfinite(each.shares):
            few = f"{each.compared} samples held out are too few" if each.compared else "no assignments of modalities"
            unknown[few].append(each.k)
    lines += [f"K = {', '.join(map(str, ks))}: what modalities share is unknown: {why}" for why, ks in unknown.items()]
    if not all(each.unseen for each in measured):
        lines.append("no samples are held out: modalities are compared on those that training has seen (data.holdout)")
    return lines


def _row(each: Measured, folder: Path) -> dict[str, Any]:
    """Of a table, None where a figure is unknown."""
    known = {"information": each.information, "stability": each.stability, "silhouette": each.silhouette}
    row: dict[str, Any] = {"k": each.k, "runs": len(each.seeds)}
    for name, values in known.items():
        fine = [value for value in values if isfinite(value)]
        row[name] = round(mean(fine), 4) if fine else None
        row[f"{name}_std"] = round(stdev(fine), 4) if len(fine) > 1 else None
    row |= {"by_chance": round(each.by_chance, 4), "compared": each.compared}
    row |= {"largest": round(each.sizes[0], 4), "smallest": round(each.sizes[-1], 4)}
    row |= {"ari": round(mean(each.ari), 4)} if each.ari else {}
    return row | {"run": str(each.typical.relative_to(folder))}


def _cell(value: Any) -> Any:
    return "" if value is None else str(value)


def _draw(folder: Path, measured: Sequence[Measured], answer: Answer) -> None:
    from cmc.figures.choice import choice
    from cmc.figures.style import save

    panels = {
        title: {each.k: [value for value in getattr(each, name) if isfinite(value)] for each in measured}
        for title, name in _PANELS.items()
    }
    chance = {each.k: each.by_chance for each in measured if isfinite(each.shares)}
    save(choice(panels, answer.k, answer.alike, chance), folder / "choose", ("png",))
