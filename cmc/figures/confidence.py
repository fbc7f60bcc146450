"""How sure assignments are: as the method says, calibrated, and held against labels."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from cmc.figures.style import BLUE, COLUMN, GREY, ORANGE, PAGE, blank, styled
from cmc.functional.calibration import calibration_error
from cmc.runs.matching import match_samples

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_BINS = 15  # of the panel that holds confidences against labels
_TITLES = ("as the method says", "calibrated")


@styled
def confidence(
    values: np.ndarray,
    clusters: np.ndarray,
    labels: np.ndarray | None,
    n_clusters: int,
    calibrated: np.ndarray | None = None,
) -> Figure | None:
    """Histograms of the largest assignment probability and of the calibrated confidence, a panel each.

    With labels samples in and out of their class's cluster are told apart, and where confidences are calibrated a panel
    shows how many of the samples of about one confidence are in it.

    Args:
        values: N, the largest probabilities.
        clusters: N, in 0..K-1.
        labels: N, text, empty where unknown; None where all are.
        n_clusters: K.
        calibrated: N; None where they are not known.

    Returns:
        None for a hard clustering, whose probabilities are all 1.
    """
    if values.min() >= 1 - 1e-6 and calibrated is None:
        return None
    shown = [values] if calibrated is None else [values, calibrated]
    right = None
    if labels is not None:
        found = match_samples(clusters, labels, n_clusters)
        names = np.array([*found.classes, ""])  # the last, for -1, is no class
        right = (names[found.partners[clusters]] == labels) & (labels != "")
    n_panels = len(shown) + (right is not None and calibrated is not None)
    figure = blank(COLUMN if n_panels == 1 else PAGE * min(1, n_panels / 3 + 0.1), 2.4)
    panels = figure.subplots(1, n_panels, squeeze=False)[0]
    for axes, each, title in zip(panels, shown, _TITLES, strict=False):
        _histogram(axes, each, right, n_clusters)
        axes.set_xlabel("largest assignment probability" if each is values else "probability that another agrees")
        if calibrated is not None:
            axes.set_title(title)
    panels[0].set_ylabel("samples")
    if right is not None:
        parts = {"matched cluster": right, "another cluster": ~right}
        handles = panels[0].get_legend_handles_labels()[0]
        told = [f"{name}: {part.mean():.1%}" for name, part in parts.items()]
        place = (
            {"loc": "lower center", "bbox_to_anchor": (0.5, 1.0)} if n_panels == 1 else {"loc": "outside upper left"}
        )
        (panels[0] if n_panels == 1 else figure).legend(handles, told, ncols=2, **place)
        if calibrated is not None and labels is not None:
            _against_labels(panels[-1], shown, right, labels != "")
    return figure


def _histogram(axes: Axes, values: np.ndarray, right: np.ndarray | None, n_clusters: int) -> None:
    edges = np.linspace(min(1 / n_clusters, values.min()), 1, 31).tolist()
    if right is None:
        axes.hist(values, edges, color=BLUE)
        return
    parts = [values[right], values[~right]]
    axes.hist(parts, edges, stacked=True, color=[BLUE, ORANGE], label=["matched cluster", "another cluster"])


def _against_labels(axes: Axes, shown: list[np.ndarray], right: np.ndarray, labelled: np.ndarray) -> None:
    """The share of samples in their class's cluster, over confidence in bins of equal width."""
    axes.plot([0, 1], [0, 1], color=GREY, lw=0.8, ls="--")
    for values, name, style in zip(shown, ("raw", "calibrated"), ("o:", "s-"), strict=True):
        error, bins = calibration_error(torch.from_numpy(values[labelled]), torch.from_numpy(right[labelled]), _BINS)
        colour = ORANGE if name == "raw" else BLUE
        axes.plot(*zip(*bins, strict=True), style, color=colour, ms=3, lw=1, label=f"{name}, error {error:.3f}")
    axes.set(
        xlim=(0, 1.02), ylim=(0, 1.02), title="against labels", xlabel="confidence", ylabel="in the matched cluster"
    )
    axes.legend(loc="upper left")
