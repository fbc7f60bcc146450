"""The embedding in two dimensions, at the end of a run and at the end of each of its phases."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from cmc.figures.style import COLUMN, LEGEND, NAME, NAMED, PAGE, blank, looks, short, styled
from cmc.functional.threads import one_thread
from cmc.runs.matching import Matching, class_names, match_samples

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_FEW = 50  # samples up to which neighbourhoods mean nothing

Group = tuple[str, "np.ndarray", int]  # a name, which samples, and how they look: a number of `looks`


class Points(NamedTuple):
    """Samples in two dimensions.

    Attributes:
        places: N x 2.
        clusters: N, in 0..K-1; None where none are assigned yet.
        labels: N, text; None where unknown.
    """

    places: np.ndarray
    clusters: np.ndarray | None
    labels: np.ndarray | None


def project(features: np.ndarray, projection: str) -> np.ndarray:
    """Bring N x D features to N x 2.

    Args:
        features: a few thousand rows at most; up to 50, or without spread, they are shown by principal components.
        projection: ``pca``, ``tsne`` or ``umap``, the latter two from the 30 first principal components.
    """
    return project_each([features], projection)[0]


def project_each(several: Iterable[np.ndarray], projection: str) -> list[np.ndarray]:
    """`project` each, a thread each: on few points more threads only wait for each other."""
    at_once = 1 if projection == "umap" else None  # numba's threads may not be started from several
    with one_thread(), ThreadPoolExecutor(at_once) as pool:
        return list(pool.map(partial(_projected, projection=projection), several))


def _projected(features: np.ndarray, projection: str) -> np.ndarray:
    from sklearn.decomposition import PCA

    features = np.asarray(features, dtype=np.float32)
    width = min(30, *features.shape)
    if width < 2 or not features.std() > 0:
        return np.pad(features, ((0, 0), (0, 2)))[:, :2]
    reduced: np.ndarray = PCA(width, random_state=0).fit_transform(features)
    if projection == "pca" or len(features) < _FEW:
        return reduced[:, :2]
    return _tsne(reduced) if projection == "tsne" else _umap(reduced)


def _tsne(x: np.ndarray) -> np.ndarray:
    from sklearn.manifold import TSNE

    places: np.ndarray = TSNE(
        2, init="pca", perplexity=min(30, len(x) / 4), max_iter=500, random_state=0
    ).fit_transform(x)
    return places


def _umap(x: np.ndarray) -> np.ndarray:
    from umap import UMAP

    places: np.ndarray = UMAP(n_components=2, random_state=0, n_jobs=1).fit_transform(x)
    return places


@styled
def embedding(points: Points, n_clusters: int, found: Matching | None = None) -> Figure:
    """The samples by cluster and, where known, by label; a cluster looks as the class that it is matched to.

    Args:
        points: the samples.
        n_clusters: K.
        found: by which clusters are named, where these samples are some of many; None matches these.
    """
    titles = ["cluster"] if points.labels is None else ["cluster", "label"]
    figure = blank(PAGE if len(titles) == 2 else COLUMN + 0.8, 3.0)
    for number, title in enumerate(titles):
        axes = figure.add_subplot(1, len(titles), number + 1)
        axes.set_title(f"by {title}")
        groups = _scatter(axes, points, title, n_clusters, found)
        if len(groups) <= LEGEND:
            axes.legend(markerscale=1.6, loc="center left", bbox_to_anchor=(1, 0.5), handletextpad=0.1)
        elif len(groups) <= NAMED:
            _name_in_place(axes, points.places, groups)
    return figure


@styled
def phases(ends: Sequence[tuple[str, Points]], n_clusters: int) -> Figure:
    """The samples at the end of each phase, by cluster in the first row and, where known, by label in the second.

    Args:
        ends: names of phases and their samples, in the order of the run.
        n_clusters: K.
    """
    rows = ["cluster"] if ends[0][1].labels is None else ["cluster", "label"]
    side = min(2.3, PAGE / len(ends))
    figure = blank(side * len(ends), 0.2 + side * len(rows))
    panels = figure.subplots(len(rows), len(ends), squeeze=False)
    for column, (name, points) in enumerate(ends):
        for row, by in zip(panels, rows, strict=True):
            _scatter(row[column], points, by, n_clusters)
        panels[0][column].set_title(name)
    for row, by in zip(panels, rows, strict=True):
        row[0].set_ylabel(f"by {by}")
    return figure


def _scatter(axes: Axes, points: Points, by: str, n_clusters: int, found: Matching | None = None) -> list[Group]:
    """Draw and return the groups, in the order of their looks; without clusters one of no name."""
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_visible(False)
    groups = _by_cluster(points, n_clusters, found) if by == "cluster" else _by_label(points)
    for name, here, number in groups:
        x, y = points.places[here].T
        axes.scatter(x, y, s=7, lw=0, label=short(name, NAME), **looks(number))
    if not groups:
        x, y = points.places.T
        axes.scatter(x, y, s=7, lw=0, color="0.75")
        axes.set_xlabel("no clusters yet", fontsize=7)
    return groups


def _by_label(points: Points) -> list[Group]:
    assert points.labels is not None
    return [(name, points.labels == name, number) for number, name in enumerate(class_names(points.labels.tolist()))]


def _by_cluster(points: Points, n_clusters: int, found: Matching | None) -> list[Group]:
    if points.clusters is None:
        return []
    numbers: Any = np.arange(n_clusters)
    present = np.unique(points.clusters).tolist()
    names = {k: str(k) for k in present}
    if points.labels is not None:
        found = found or match_samples(points.clusters, points.labels, n_clusters)
        names = {k: found.named(k) for k in present} if len(present) <= LEGEND else names
        spare = iter(range(len(found.classes), len(found.classes) + n_clusters))
        numbers = [partner if partner >= 0 else next(spare) for partner in found.partners]
    groups = [(names[k], points.clusters == k, int(numbers[k])) for k in present]
    return sorted(groups, key=lambda group: group[2])


def _name_in_place(axes: Axes, places: np.ndarray, groups: Sequence[Group]) -> None:
    """Write each group's name on its median sample."""
    from matplotlib.patheffects import withStroke

    for name, here, _ in groups:
        x, y = np.median(places[here], axis=0)
        halo = [withStroke(linewidth=1.5, foreground="w")]
        axes.text(x, y, short(name), fontsize=5, ha="center", va="center", path_effects=halo)
