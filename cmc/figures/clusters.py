"""Clusters against classes: which belongs to which, how large they are."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cmc.figures.style import BLUE, COLUMN, GREY, LEGEND, NAME, PAGE, blank, styled, ticks
from cmc.runs.matching import Matching, match_samples

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_LETTER = 0.055  # inches, of a name that stands upright
_NAMED = "cluster: class, its share"  # short: in the narrowest figure nothing of it is cut off


@styled
def confusion(clusters: np.ndarray, labels: np.ndarray, n_clusters: int) -> Figure:
    """Classes against clusters, each cluster in the column of the class that it is matched to.

    Args:
        clusters: N, in 0..K-1.
        labels: N, text.
        n_clusters: K.
    """
    found = match_samples(clusters, labels, n_clusters)
    order = found.order()
    counts = found.table[order].T
    share = counts / counts.sum(1, keepdims=True)
    named = n_clusters <= LEGEND
    names = [found.named(k) if named else str(k) for k in order]
    width = min(PAGE, 1.4 + max(0.3 * n_clusters, 1.0))
    beneath = _LETTER * max(map(len, names)) if named else 0.0
    height = 0.9 + max((width - 1.4) * len(counts) / n_clusters, 1.0)
    figure = blank(width, min(PAGE, height + beneath))
    axes = figure.add_subplot()
    axes.spines[:].set_visible(False)
    image = axes.imshow(share, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    ticks(axes, "x", names, NAME)
    ticks(axes, "y", found.classes)
    axes.set_xlabel(_NAMED if named else "cluster, in the order of its class")
    axes.set_ylabel("class")
    if counts.size <= 400:
        for (i, j), count in np.ndenumerate(counts):
            colour = "w" if share[i, j] > 0.5 else "k"
            axes.text(j, i, str(count) if count else "", ha="center", va="center", fontsize=6, color=colour)
    figure.colorbar(image, ax=axes, label="share of the class", shrink=0.8)
    return figure


@styled
def sizes(clusters: np.ndarray, labels: np.ndarray | None, n_clusters: int) -> Figure:
    """Samples in every cluster, beside those of the class that it is matched to; without labels, beside equal sizes.

    Args:
        clusters: N, in 0..K-1.
        labels: N, text; None where unknown.
        n_clusters: K.
    """
    counts = np.bincount(clusters, minlength=n_clusters).tolist()
    if labels is None:
        order = sorted(range(n_clusters), key=lambda k: -counts[k])
        bars = [(str(k), counts[k], 0) for k in order]
    else:
        bars = _beside_classes(match_samples(clusters, labels, n_clusters), counts)
    names, own, others = zip(*bars, strict=True)
    figure = blank(min(PAGE, max(COLUMN, 1.0 + 0.22 * len(bars))), 2.2)
    axes = figure.add_subplot()
    places = np.arange(len(bars))
    if labels is None:
        axes.axhline(len(clusters) / n_clusters, color=GREY, ls="--", label="equal sizes")
    else:
        axes.bar(places - 0.2, others, 0.4, color=GREY, label="class")
    axes.bar(places + (labels is not None) * 0.2, own, 0.7 if labels is None else 0.4, color=BLUE, label="cluster")
    ticks(axes, "x", names, NAME)
    axes.set_xlim(-0.7, len(bars) - 0.3)
    axes.set_xlabel("cluster" if labels is None else _NAMED)
    axes.set_ylabel("samples")
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2)
    return figure


def _beside_classes(found: Matching, counts: list[int]) -> list[tuple[str, int, int]]:
    """A name, the cluster's size and the class's: of matched pairs, then of clusters and classes left over."""
    sizes = found.table.sum(0).tolist()
    partners = found.partners.tolist()
    pairs = [(k, partners[k]) for k in found.order()]
    bars = [(found.named(k), counts[k], sizes[c]) if c >= 0 else (f"{k}: -", counts[k], 0) for k, c in pairs]
    left = [c for c in range(len(sizes)) if c not in partners]
    return [*bars, *((f"-: {found.classes[c]}", 0, sizes[c]) for c in left)]
