"""The pictures of a run: loss terms, confusion matrix, embedding."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from pytorch_lightning import Callback, Trainer

from cmc.pictures import evenly, match_classes, project
from cmc.runs import LABEL_FREE, SCORES, read_history
from cmc.storage import replacing

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


class Figures(Callback):
    """After the results: ``figures/losses.png``, ``figures/confusion.png`` and ``figures/embedding.png``.

    Args:
        max_points: samples drawn in the embedding, evenly spaced; t-SNE takes seconds for each thousand.
    """

    def __init__(self, max_points: int = 1000) -> None:
        self._max_points = max_points

    def on_fit_end(self, trainer: Trainer, pl_module: Any) -> None:
        """Draw from the run folder's files."""
        if trainer.is_global_zero:
            draw(Path(trainer.default_root_dir), pl_module.n_clusters, self._max_points)


def draw(folder: Path, n_clusters: int, max_points: int) -> None:
    """Draw the figures of a finished run from its ``history.csv``, ``assignments.csv`` and ``embeddings.npy``."""
    if history := read_history(folder / "history.csv"):
        _save(losses(history), folder / "figures" / "losses.png")
    with (folder / "assignments.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    clusters = np.array([int(row["cluster"]) for row in rows])
    labels = np.array([row["label"] for row in rows]) if "label" in rows[0] else None
    if labels is not None:
        _save(confusion(clusters, labels, n_clusters), folder / "figures" / "confusion.png")
    if (folder / "embeddings.npy").exists():
        chosen = evenly(len(rows), max_points)
        features = np.load(folder / "embeddings.npy", mmap_mode="r")[chosen]
        figure = embedding(features, clusters[chosen], None if labels is None else labels[chosen], n_clusters)
        _save(figure, folder / "figures" / "embedding.png")


def losses(history: list[dict[str, Any]]) -> Figure:
    """Every loss term over the epochs, a panel each, phases shaded; the scores in a panel of their own."""
    from matplotlib.figure import Figure

    present = [name for name in history[0] if name not in ("epoch", "phase", "loss")]
    terms = [name for name in present if name not in SCORES + LABEL_FREE]
    together = {
        title: names
        for title, choice in (("scores", SCORES), ("without labels", LABEL_FREE))
        if (names := [name for name in choice if name in present])
    }
    panels = {"loss": ["loss"], **{term.replace("_", " "): [term] for term in terms}, **together}
    columns = min(3, len(panels))
    n_rows = -(-len(panels) // columns)
    figure = Figure(figsize=(4.2 * columns, 2.8 * n_rows), layout="constrained")
    for number, (title, names) in enumerate(panels.items()):
        axes = figure.add_subplot(n_rows, columns, number + 1)
        _shade_phases(axes, history, number == 0)
        for name in names:
            points = [(int(row["epoch"]) + 1, float(row[name])) for row in history if row[name] != ""]
            axes.plot(
                *zip(*points, strict=True),
                label=name.upper() if name in SCORES else name,
                lw=1.6,
                ls="--" if name == "purity" else "-",
                marker="o" if len(points) < 3 else None,
            )
        axes.set_title(title, fontsize=10)
        axes.set_xlabel("epoch", fontsize=8)
        axes.tick_params(labelsize=8)
        axes.set_xlim(0.5, len(history) + 0.5)
        if title in together:
            axes.set_ylim(0, 1)
            axes.legend(fontsize=7, loc="lower left")
    return figure


def _shade_phases(axes: Axes, history: list[dict[str, Any]], named: bool) -> None:
    starts = [i for i, row in enumerate(history) if i == 0 or row["phase"] != history[i - 1]["phase"]]
    for number, (start, stop) in enumerate(zip(starts, [*starts[1:], len(history)], strict=True)):
        axes.axvspan(start + 0.5, stop + 0.5, color="0.93" if number % 2 else "0.98", zorder=0)
        if named:
            x = (start + stop + 1) / 2
            place = axes.get_xaxis_transform()
            axes.text(x, 0.97, history[start]["phase"], fontsize=7, ha="center", va="top", transform=place)


def confusion(clusters: np.ndarray, labels: np.ndarray, n_clusters: int) -> Figure:
    """Classes against clusters, each cluster in the column of the class that it is matched to."""
    from matplotlib.figure import Figure

    classes, table, matched = match_classes(clusters, labels, n_clusters)
    order = sorted(range(n_clusters), key=lambda k: (matched[k] < 0, matched[k]))
    counts = table[order].T
    share = counts / counts.sum(1, keepdims=True)
    size = min(12.0, 2.5 + 0.45 * max(counts.shape))
    figure = Figure(figsize=(size + 0.8, size), layout="constrained")
    axes = figure.add_subplot()
    image = axes.imshow(share, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    axes.set_xticks(range(n_clusters), [str(k) for k in order], fontsize=8)
    axes.set_yticks(range(len(classes)), classes.tolist(), fontsize=8)
    axes.set_xlabel("cluster, ordered by the class that it is matched to")
    axes.set_ylabel("class")
    if counts.size <= 400:
        for (i, j), count in np.ndenumerate(counts):
            colour = "w" if share[i, j] > 0.5 else "k"
            axes.text(j, i, str(count) if count else "", ha="center", va="center", fontsize=7, color=colour)
    figure.colorbar(image, ax=axes, label="share of the class", shrink=0.8)
    return figure


def embedding(features: np.ndarray, clusters: np.ndarray, labels: np.ndarray | None, n_clusters: int) -> Figure:
    """The embedding in two dimensions (t-SNE), coloured by cluster and, where known, by label.

    A cluster has the colour of the class that it is matched to.
    """
    from matplotlib.figure import Figure

    points = project(np.asarray(features, dtype=np.float32))
    colours = list(range(n_clusters))
    groupings: list[tuple[str, np.ndarray, Sequence[int]]] = [("cluster", clusters, colours)]
    if labels is not None:
        classes, _, matched = match_classes(clusters, labels, n_clusters)
        spare = iter(range(len(classes), len(classes) + n_clusters))
        colours[:] = [partner if partner >= 0 else next(spare) for partner in matched]
        groupings.append(("label", labels, range(len(classes))))
    figure = Figure(figsize=(6.2 * len(groupings), 5.2), layout="constrained")
    for number, (name, groups, palette) in enumerate(groupings):
        axes = figure.add_subplot(1, len(groupings), number + 1)
        present = np.unique(groups) if name == "cluster" else classes
        for k, group in enumerate(present):
            here = groups == group
            colour = palette[int(group) if name == "cluster" else k]
            axes.scatter(points[here, 0], points[here, 1], s=9, lw=0, color=_colour(colour), label=str(group))
        axes.set_title(f"embedding by {name}")
        axes.set_xticks([])
        axes.set_yticks([])
        if len(present) <= 20:
            axes.legend(fontsize=7, markerscale=2, loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)
    return figure


def _colour(number: int) -> Any:
    import matplotlib

    return matplotlib.colormaps["tab20"](number % 20)


def _save(figure: Figure, path: Path) -> None:
    with replacing(path) as unfinished:
        figure.savefig(unfinished, dpi=130)
