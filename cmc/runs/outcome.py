"""What a finished run folder holds that a tracker can show: tables of a bounded size, pictures, the report."""

from __future__ import annotations

import csv
import json
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from cmc.functional.matching import match
from cmc.utils.arrays import spaced

_MAX_CELLS = 10_000  # of a confusion matrix; more cannot be told apart


class Table(NamedTuple):
    """Columns and rows; ``total`` counts the rows that there are, of which some may be left out."""

    columns: list[str]
    rows: list[list[Any]]
    total: int


class Outcome(NamedTuple):
    """A finished run.

    Attributes:
        folder: the run folder.
        report: what ``metrics.json`` holds.
        assignments: index, cluster, confidence and, where known, label of evenly spaced samples.
        confusion: Actual, Predicted, nPredictions, cluster: every class with every cluster, which is called by the
            class that it is matched to; None without labels, and where there are more than 10,000 cells.
        points: as ``assignments``, of the samples whose embeddings are given.
        embeddings: n x D; None where the run wrote none.
        figures: paths of pictures.
    """

    folder: Path
    report: dict[str, Any]
    assignments: Table
    confusion: Table | None
    points: Table
    embeddings: np.ndarray | None
    figures: list[Path]


def read_outcome(folder: Path, max_rows: int, max_points: int) -> Outcome:
    """Read a run folder in one pass over its assignments.

    Args:
        folder: of a finished run.
        max_rows: of the table of assignments.
        max_points: samples whose embeddings are given.
    """
    report = json.loads((folder / "metrics.json").read_text())
    n = report["features"]["n_samples"]
    shown, drawn = spaced(n, max_rows).tolist(), spaced(n, max_points).tolist()
    wanted = {*shown, *drawn}
    rows: dict[int, list[Any]] = {}
    counts: Counter[tuple[str, int]] = Counter()
    with (folder / "assignments.csv").open(newline="") as file:
        reader = csv.reader(file)
        columns = next(reader)
        for position, (index, cluster, confidence, *label) in enumerate(reader):
            if position in wanted:
                rows[position] = [int(index), int(cluster), float(confidence), *label]
            if label:
                counts[label[0], int(cluster)] += 1
    path = folder / "embeddings.npy"
    return Outcome(
        folder,
        report,
        Table(columns, [rows[i] for i in shown], n),
        _confusion(counts, report["n_clusters"]) if counts else None,
        Table(columns, [rows[i] for i in drawn], n),
        np.load(path, mmap_mode="r", allow_pickle=False)[drawn] if path.exists() else None,
        sorted((folder / "figures").glob("*.png")),
    )


def _confusion(counts: Counter[tuple[str, int]], n_clusters: int) -> Table | None:
    names = {label for label, _ in counts}
    classes = sorted(names, key=int if all(name.lstrip("-").isdigit() for name in names) else str)
    cells = len(classes) * n_clusters
    if cells > _MAX_CELLS:
        return None
    table = torch.tensor([[counts[name, k] for name in classes] for k in range(n_clusters)])
    called = [classes[c] if c >= 0 else f"cluster {k}" for k, c in enumerate(match(table).tolist())]
    rows = [[name, called[k], counts[name, k], k] for name in classes for k in range(n_clusters)]
    return Table(["Actual", "Predicted", "nPredictions", "cluster"], rows, cells)
