"""The clusters of a run matched one to one to its classes."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from cmc.errors import UserError
from cmc.functional.contingency import contingency_table
from cmc.functional.matching import match

_CELLS = 40_000  # of a confusion matrix; more cannot be told apart
_LETTERS = 12  # of a class, in the name of a cluster


class Matching(NamedTuple):
    """Clusters matched one to one to classes.

    Attributes:
        classes: their names, in numerical order where they are numbers.
        table: K x classes, counts.
        partners: of each cluster, the position of the class that it is matched to, or -1.
    """

    classes: list[str]
    table: np.ndarray
    partners: np.ndarray

    def named(self, cluster: int) -> str:
        """What a cluster is called after its class: ``3: animals 62 %``, of whose samples that share is of the class.

        A long name of a class is cut; a cluster without a class, or without a labelled sample, is called by its number.
        """
        partner, size = int(self.partners[cluster]), int(self.table[cluster].sum())
        if partner < 0 or not size:
            return str(cluster)
        name = self.classes[partner]
        short = name if len(name) <= _LETTERS else f"{name[: _LETTERS - 1]}…"
        return f"{cluster}: {short} {share_text(self.table[cluster, partner] / size)}"

    def order(self) -> list[int]:
        """Clusters in the order of the classes that they are matched to; those without one come last."""
        return sorted(range(len(self.partners)), key=lambda k: (self.partners[k] < 0, self.partners[k]))


def share_text(share: float) -> str:
    """``62 %``."""
    return f"{round(100 * share)} %"


def class_names(labels: Iterable[str]) -> list[str]:
    """The labels' values, in numerical order where they are numbers."""
    names = set(labels)
    numbered = all(re.fullmatch(r"-?[0-9]+", name) for name in names)
    return sorted(names, key=int if numbered else str)


def match_samples(clusters: np.ndarray, labels: np.ndarray, n_clusters: int) -> Matching:
    """Match N clusters (0..K-1) to N labels (text), as ACC does; samples whose label is empty do not count."""
    clusters, labels = clusters[labels != ""], labels[labels != ""]
    classes = class_names(labels.tolist())
    position = {name: code for code, name in enumerate(classes)}
    codes = torch.tensor([position[name] for name in labels.tolist()])
    return match_counts(classes, contingency_table(torch.from_numpy(clusters), codes, n_clusters, len(classes)))


def confusion_counts(clusters: np.ndarray, labels: np.ndarray, n_clusters: int) -> dict[str, Any]:
    """Counts of classes (rows) in clusters (columns), as a page draws them: each cluster under its class.

    Args:
        clusters: N, from 0.
        labels: N, text; empty where unknown.
        n_clusters: K; more where an assignment says more.

    Returns:
        ``classes``, ``clusters`` in the order of the columns, their ``names`` (`Matching.named`), ``matched``, the
        class of every column, -1 where there is none left, and ``counts``.

    Raises:
        UserError: more cells than a reader can see.
    """
    n_clusters = max(n_clusters, int(clusters.max()) + 1)
    if n_clusters * (n_classes := len({*labels.tolist()} - {""})) > _CELLS:
        raise UserError(f"{n_clusters} clusters by {n_classes} classes are too many for a picture")
    found = match_samples(clusters, labels, n_clusters)
    order = found.order()
    return {
        "classes": found.classes,
        "clusters": order,
        "names": [found.named(k) for k in order],
        "matched": found.partners[order].tolist(),
        "counts": found.table[order].T.tolist(),
    }


def match_counts(classes: list[str], table: Tensor) -> Matching:
    """Match clusters to classes, of which ``table`` (K x classes) has the counts, as ACC does."""
    return Matching(classes, table.numpy(), match(table).numpy())
