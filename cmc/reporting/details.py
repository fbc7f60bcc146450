"""What the page shows of one run: its curves, confusion matrix, embedding and facts, small enough for hundreds."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

import numpy as np

from cmc.errors import UserError
from cmc.reporting.rows import shown
from cmc.reporting.runs import Run
from cmc.runs.embeddings import read_embeddings
from cmc.runs.history import read_history
from cmc.runs.names import kept
from cmc.runs.report import LABEL_FREE, SCORES, scored_text
from cmc.runs.summary import agreement_in_words
from cmc.utils.safe_read import read_errors

Projection = Literal["tsne", "pca"]
_POINTS = 300  # of a curve
_SAMPLES = 1000  # of an embedding
_LETTERS = 120  # of an id or a caption
_FACTS = (
    "protocol",
    "stopped",
    "n_clusters",
    "n_parameters",
    "device",
    "processes",
    "precision",
    "peak_memory_mib",
    "git_commit",
)


def facts(run: Run) -> dict[str, str]:
    """What traces a run, name by name."""
    told: dict[str, Any] = {"seed": run.seed, "epochs": run.epochs, "folder": str(run.folder)}
    told |= {f"data {key}": value for key, value in run.facts.items()}
    told |= {"agreement": words} if (words := agreement_in_words(run.figures)) else {}
    told |= {key.replace("_", " "): run.report[key] for key in _FACTS if key in run.report}
    if scored := scored_text(run.report):
        told["scored"] = scored
    for key, title in (("seconds", "seconds,"), ("versions", "version of")):
        if isinstance(several := run.report.get(key), Mapping):
            told |= {f"{title} {name}": value for name, value in several.items()}
    return {key: _told(value) for key, value in told.items()}


def _told(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {shown(each)}" for key, each in value.items())
    if isinstance(value, list):
        return "; ".join(map(shown, value)) or "none"
    return "unknown" if value is None else shown(value)


def curves(run: Run) -> dict[str, Any] | None:
    """Loss terms and scores over epochs (from 1), thinned out, and the phases; None without a history.

    ``series`` are ``[name, kind, axis, values]`` with kind ``loss``, ``score`` or ``label-free``; ``axis`` is the
    position in ``axes`` of the epochs that the values are of. ``phases`` are ``[name, first, last]``.

    Raises:
        UserError: a history that cannot be read.
    """
    with read_errors("history.csv cannot be read", run.folder / "history.csv"):
        rows = read_history(run.folder)
        return _curves(rows) if rows else None


def _curves(rows: Sequence[Mapping[str, str]]) -> dict[str, Any]:
    from cmc.utils.arrays import spaced

    axes: dict[tuple[int, ...], int] = {}
    series = []
    for name in (name for name in rows[0] if name not in ("epoch", "phase")):
        points = [(int(row["epoch"]) + 1, float(row[name])) for row in rows if row[name]]
        if kept := [points[i] for i in spaced(len(points), _POINTS)] if points else []:
            epochs, values = zip(*kept, strict=True)
            axis = axes.setdefault(epochs, len(axes))
            kind = "score" if name in SCORES else "label-free" if name in LABEL_FREE else "loss"
            series.append([name, kind, axis, [rounded(value) for value in values]])
    phases: list[list[Any]] = []
    for row in rows:
        epoch = int(row["epoch"]) + 1
        if not phases or phases[-1][0] != row["phase"]:
            phases.append([row["phase"], epoch, epoch])
        phases[-1][2] = epoch
    return {"axes": list(axes), "series": series, "phases": phases}


def confusion(run: Run) -> dict[str, Any] | None:
    """Counts of classes (rows) in clusters (columns), each cluster under the class that it is matched to.

    ``matched`` has the class of every column, -1 where there is none left; ``names``, what a person calls it, else its
    class with the share that it holds. None without labels.

    Raises:
        UserError: more cells than a reader can see, or assignments that cannot be read.
    """
    assignments = run.assignments()
    if assignments is None or assignments.label is None or not (assignments.label != "").any():
        return None
    from cmc.runs.matching import confusion_counts

    found = confusion_counts(assignments.cluster, assignments.label, int(run.report.get("n_clusters") or 0))
    named = _named(run, found["clusters"])
    return found | {"names": [named.get(k, own) for k, own in zip(found["clusters"], found["names"], strict=True)]}


def _named(run: Run, clusters: Iterable[int]) -> dict[int, str]:
    """Of the clusters that a person named: number and name.

    Raises:
        UserError: ``names.json`` is damaged, or of another run.
    """
    edits = kept(run.folder)
    return {k: f"{k} {edits.name(k)}" for k in clusters if edits.name(k)}


def embedding(run: Run, projection: Projection) -> dict[str, Any] | None:
    """Evenly spaced samples in two dimensions, with their row number, cluster, confidence and label's position.

    None without ``embeddings.npy`` or ``assignments.csv``.

    Raises:
        UserError: embeddings that cannot be read, or are not of these assignments.
    """
    from cmc.figures import project
    from cmc.utils.arrays import spaced

    assignments = run.assignments() if (run.folder / "embeddings.npy").exists() else None
    if assignments is None:
        return None
    features = read_embeddings(run.folder, what="embeddings.npy cannot be read")
    assert features is not None
    if len(features) != len(assignments.index):
        raise UserError(
            f"embeddings.npy is {features.shape} of {features.dtype}, but assignments.csv has "
            f"{len(assignments.index)} rows"
        )
    chosen = spaced(len(features), _SAMPLES)
    block = np.asarray(features[chosen])
    if not np.isfinite(block).all():
        raise UserError("embeddings.npy holds numbers that are not finite")
    points = project(block, projection)
    names: list[str] = []
    codes = None
    named = _named(run, set(assignments.cluster[chosen].tolist()))
    if assignments.label is not None:
        unique, codes = np.unique(assignments.label, return_inverse=True)
        names = [name or "no label" for name in unique.tolist()]
    return {
        "x": [rounded(x) for x in points[:, 0].tolist()],
        "y": [rounded(y) for y in points[:, 1].tolist()],
        "index": assignments.index[chosen].tolist(),
        "cluster": assignments.cluster[chosen].tolist(),
        "confidence": [rounded(c, 3) for c in assignments.confidence[chosen].tolist()],
        "name": None if assignments.id is None else [each[:_LETTERS] for each in assignments.id[chosen].tolist()],
        "caption": None
        if assignments.caption is None
        else [each[:_LETTERS] for each in assignments.caption[chosen].tolist()],
        "named": {str(k): name for k, name in named.items()},
        "labels": names,
        "label": None if codes is None else codes[chosen].tolist(),
    }


def rounded(value: float, digits: int = 4) -> float | None:
    """A number with few digits; None for what JSON has no number for."""
    return float(f"{value:.{digits}g}") if math.isfinite(value) else None
