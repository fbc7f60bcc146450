"""``metrics.json`` of a run folder: scores, and what traces the run. Light: imports no torch."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cmc.errors import UserError
from cmc.utils.atomic import atomic_write
from cmc.utils.safe_read import parse_json, read_errors

SCORES = ("acc", "nmi", "ari", "purity")
LABEL_FREE = ("agreement", "agreement_held_out", "gap", "balance", "quality", "silhouette", "entropy")


def read_report(run: Path) -> dict[str, Any]:
    """What ``metrics.json`` holds.

    Raises:
        UserError: it is damaged, or of another version.
    """
    path = run / "metrics.json"
    damaged = f"{path}: damaged, or written by another version of CMC; train again"
    with read_errors(damaged, path):
        report = parse_json(path)
        counts = [*report["features"]["dims"].values(), report["n_clusters"], report.get("epochs", 1)]
        whole = all(isinstance(number, int) and number > 0 for number in counts)
        whole = whole and _is_positive(report.get("calibration", {"temperature": 1.0})["temperature"])
        whole = whole and {"method", "data", "seed", "scores"} <= report.keys() and "fingerprint" in report["features"]
    if not whole:
        raise UserError(damaged)
    return report


def _is_positive(value: Any) -> bool:
    return isinstance(value, float | int) and not isinstance(value, bool) and 0 < value < math.inf


def read_any_report(run: Path) -> dict[str, Any]:
    """What ``metrics.json`` of a run of any version holds: a mapping, be there in it what may.

    Raises:
        UserError: there is none, or it cannot be read; the line does not name the folder.
    """
    path = run / "metrics.json"
    if not path.exists():
        raise UserError("no metrics.json: the run has not finished")
    with read_errors("metrics.json cannot be read", path):
        return parse_json(path)


def scored_text(report: Mapping[str, Any]) -> str:
    """How many samples the scores are of, in words; "" where all have a label."""
    names = {"scores": "scores", "holdout": "held-out scores"}
    parts = report.get("scored") if isinstance(report.get("scored"), Mapping) else {}
    told = [
        f"{names[part]} of the {count.get('labelled')} of {count.get('samples')} samples that have a label"
        for part, count in (parts or {}).items()
        if part in names and isinstance(count, Mapping)
    ]
    return "; ".join(told)


def write_report(run: Path, report: Mapping[str, Any]) -> None:
    """Write ``metrics.json``, which marks a finished run: after all other files."""
    with atomic_write(run / "metrics.json") as path:
        path.write_text(json.dumps(report, indent=2) + "\n")


def nearly_uniform(measures: Mapping[str, float]) -> bool:
    """Whether samples belong to all clusters about alike: the mean entropy of their assignments is above .9 log K.

    Args:
        measures: ``label_free`` of ``metrics.json``; without ``entropy`` nothing is known, and it is false.
    """
    return measures.get("entropy", 0.0) > 0.9


def carries_over(measures: Mapping[str, float]) -> bool:
    """Whether modalities agree at least half as much on samples that training has not seen.

    Args:
        measures: ``label_free`` of ``metrics.json``; without ``agreement_held_out`` nothing is known, and it is true.
    """
    return "agreement_held_out" not in measures or measures["agreement_held_out"] >= measures["agreement"] / 2
