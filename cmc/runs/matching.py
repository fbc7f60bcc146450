"""The clusters of a run matched one to one to its classes."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from cmc.functional.contingency import contingency_table
from cmc.functional.matching import match


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

    def order(self) -> list[int]:
        """Clusters in the order of the classes that they are matched to; those without one come last."""
        return sorted(range(len(self.partners)), key=lambda k: (self.partners[k] < 0, self.partners[k]))


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


def match_counts(classes: list[str], table: Tensor) -> Matching:
    """Match clusters to classes, of which ``table`` (K x classes) has the counts, as ACC does."""
    return Matching(classes, table.numpy(), match(table).numpy())
