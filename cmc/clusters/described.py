"""Every cluster in a few words and figures: the page's cards, ``clusters.csv``."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cmc.clusters.places import typicality
from cmc.clusters.samples import Samples
from cmc.clusters.terms import Term, cluster_terms
from cmc.runs.names import Edits
from cmc.runs.tables import CALIBRATED, table

TYPICAL = 5  # members that stand for a cluster
_NAMED = 3  # terms that stand for a name
_LETTERS = 60  # of such a name


@dataclass(frozen=True, eq=False)
class Described:
    """The samples of a run, cluster by cluster; all but `typical` and `terms` is read off columns.

    Attributes:
        samples: all of them.
        edits: the user's names.
    """

    samples: Samples
    edits: Edits

    @cached_property
    def size(self) -> NDArray[np.int64]:
        """(K,) how many members."""
        return np.bincount(self.samples.cluster, minlength=self.samples.n_clusters)

    @cached_property
    def typical(self) -> NDArray[np.float32]:
        """(N,) how typical of its cluster a sample is: by the embedding, without one by its confidence."""
        of = self.samples
        if of.embeddings is None:
            return of.confidence.astype(np.float32)
        return typicality(of.embeddings, of.cluster, of.n_clusters)

    @cached_property
    def terms(self) -> list[list[Term]] | None:
        """Of each cluster the words that tell it from others; None where the samples have no captions."""
        of = self.samples
        return None if of.caption is None else cluster_terms(of.caption.tolist(), of.cluster, of.n_clusters)

    @cached_property
    def names(self) -> list[str]:
        """Of each cluster what the user calls it, else its first terms, else its number."""
        found = []
        for k in range(self.samples.n_clusters):
            words = ", ".join(term.word for term in self.terms[k][:_NAMED]) if self.terms is not None else ""
            short = words if len(words) <= _LETTERS else f"{words[: _LETTERS - 1]}…"
            found.append(self.edits.name(k) or short or f"cluster {k}")
        return found

    @cached_property
    def confidence(self) -> NDArray[np.float64]:
        """(K,) the members' mean; NaN of an empty cluster."""
        return self._mean(self.samples.confidence)

    @cached_property
    def calibrated(self) -> NDArray[np.float64] | None:
        """(K,) the members' mean of the calibrated confidence; None where it is not known."""
        return None if self.samples.calibrated is None else self._mean(self.samples.calibrated)

    @cached_property
    def agreement(self) -> NDArray[np.float64] | None:
        """(K,) the share of members on which each modality alone says this cluster; None where none can."""
        return self._mean(~self.samples.disagrees) if self.samples.own else None

    def most_typical(self, at_most: int) -> list[list[int]]:
        """Of each cluster the positions of its most typical members, the most typical first."""
        order = np.lexsort((-self.typical, self.samples.cluster))
        starts = np.concatenate([[0], self.size.cumsum()])
        return [order[start : min(start + at_most, end)].tolist() for start, end in pairwise(starts.tolist())]

    def _mean(self, of: NDArray[Any]) -> NDArray[np.float64]:
        sums = np.bincount(self.samples.cluster, of.astype(np.float64), self.samples.n_clusters)
        with np.errstate(invalid="ignore"):
            return np.asarray(sums / self.size)


def cluster_columns(described: Described) -> dict[str, list[Any]]:
    """What is known of each cluster, a column each: cluster, name, size, terms, confidence, agreement, typical ids."""
    k = described.samples.n_clusters
    names = described.samples.names()
    columns: dict[str, list[Any]] = {
        "cluster": list(range(k)),
        "name": described.names,
        "size": described.size.tolist(),
    }
    if described.terms is not None:
        columns["terms"] = [", ".join(f"{term.word} ({term.texts})" for term in terms) for terms in described.terms]
    columns["confidence"] = described.confidence.tolist()
    if described.calibrated is not None:
        columns[CALIBRATED] = described.calibrated.tolist()
    if described.agreement is not None:
        columns["agreement"] = described.agreement.tolist()
    columns["typical"] = [" ".join(_quoted(names[i]) for i in here) for here in described.most_typical(TYPICAL)]
    return columns


def write_clusters(path: Path, described: Described) -> None:
    """Write ``clusters.csv``: a row a cluster, with what is known of it."""
    with table(path) as append:
        append(cluster_columns(described))


def _quoted(name: str) -> str:
    """A name in one word of a list with blanks."""
    return f'"{name}"' if " " in name else name
