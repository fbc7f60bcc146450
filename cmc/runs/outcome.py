"""What a finished run folder holds that a tracker can show: tables of a bounded size, pictures, the report."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from cmc.runs.assignments import Assignments, assignment_blocks
from cmc.runs.embeddings import read_embeddings
from cmc.runs.matching import class_names, match_counts, share_text
from cmc.runs.report import read_report
from cmc.runs.tables import assignments
from cmc.utils.arrays import spaced

_MAX_CELLS = 10_000  # of a confusion matrix; more cannot be told apart
_LETTERS = 200  # of a caption
_POINT = ("index", "cluster", "confidence", "label")


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
        assignments: index, cluster, confidence and, where known, calibrated confidence, margin, each modality's own
            cluster, label, id and caption of evenly spaced samples; of a caption the first 200 letters.
        confusion: Actual, Predicted, nPredictions, cluster: every class with every cluster, which is called by the
            class that it is matched to and the share of its samples that are of it (``animals 62 %``); None without
            labels, and where there are more than 10,000 cells.
        points: index, cluster, confidence and, where known, label of the samples whose embeddings are given.
        embeddings: n x D; None where the run wrote none.
        figures: paths of pictures.
        clusters: a row a cluster, as in ``clusters.csv``; None where nothing describes them.
        typical: of each of these clusters the pictures of its most typical members, where they have any.
        gallery: the page and, where its pictures lie on sheets, their folder.
    """

    folder: Path
    report: dict[str, Any]
    assignments: Table
    confusion: Table | None
    points: Table
    embeddings: np.ndarray | None
    figures: list[Path]
    clusters: Table | None = None
    typical: Sequence[Sequence[Path]] = ()
    gallery: Sequence[Path] = ()


def read_outcome(folder: Path, max_rows: int, max_points: int) -> Outcome:
    """Read a run folder in one pass over its assignments.

    Args:
        folder: of a finished run.
        max_rows: of the table of assignments.
        max_points: samples whose embeddings are given.
    """
    report = read_report(folder)
    n = report["features"]["n_samples"]
    shown, drawn = spaced(n, max_rows), spaced(n, max_points)
    wanted = np.union1d(shown, drawn)
    rows: dict[int, dict[str, Any]] = {}
    counts: Counter[tuple[str, int]] = Counter()
    done = 0
    for block in assignment_blocks(folder):
        here = wanted[(done <= wanted) & (wanted < done + len(block.index))]
        rows |= zip(here.tolist(), _rows(block, here - done), strict=True)
        if block.label is not None:
            counts.update(pair for pair in zip(block.label.tolist(), block.cluster.tolist(), strict=True) if pair[0])
        done += len(block.index)
    embeddings = read_embeddings(folder)
    return Outcome(
        folder,
        report,
        _table([rows[i] for i in shown.tolist()], n),
        _confusion(counts, report["n_clusters"]) if counts else None,
        _table([{key: rows[i][key] for key in _POINT if key in rows[i]} for i in drawn.tolist()], n),
        None if embeddings is None else embeddings[drawn],
        sorted((folder / "figures").glob("*.png")),
    )


def _rows(block: Assignments, positions: np.ndarray) -> list[dict[str, Any]]:
    """What is known of the samples at some positions."""
    at: dict[str, Any] = {
        name: None if (column := getattr(block, name)) is None else column[positions].tolist()
        for name in ("index", "cluster", "confidence", "calibrated", "margin", "label", "caption")
    }
    ids = None if block.id is None else block.id[positions].tolist()
    known = assignments(**at, own={name: own[positions].tolist() for name, own in block.own.items()}, ids=ids)
    if block.caption is not None:
        known["caption"] = [text[:_LETTERS] for text in known["caption"]]
    return [dict(zip(known, row, strict=True)) for row in zip(*known.values(), strict=True)]


def _table(rows: list[dict[str, Any]], total: int) -> Table:
    return Table(list(rows[0]), [list(row.values()) for row in rows], total)


def _confusion(counts: Counter[tuple[str, int]], n_clusters: int) -> Table | None:
    classes = class_names(label for label, _ in counts)
    cells = len(classes) * n_clusters
    if cells > _MAX_CELLS:
        return None
    found = match_counts(classes, torch.tensor([[counts[name, k] for name in classes] for k in range(n_clusters)]))
    shares = found.table / found.table.sum(1, keepdims=True).clip(1)
    called = [
        f"{classes[c]} {share_text(shares[k, c])}" if c >= 0 else f"cluster {k}"
        for k, c in enumerate(found.partners.tolist())
    ]
    rows = [[name, called[k], counts[name, k], k] for name in classes for k in range(n_clusters)]
    return Table(["Actual", "Predicted", "nPredictions", "cluster"], rows, cells)
