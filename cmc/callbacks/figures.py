"""The pictures of a run, drawn from its folder: what the history, the assignments and the embedding hold."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from pytorch_lightning import Callback, Trainer

from cmc import figures
from cmc.data.module import DataModule
from cmc.figures import Points
from cmc.methods.base import Method
from cmc.methods.gaps import assign_present
from cmc.runs.assignments import Assignments, read_assignments
from cmc.runs.embeddings import PROJECTIONS, read_embeddings
from cmc.runs.history import read_history
from cmc.runs.matching import match_samples
from cmc.runs.report import read_report
from cmc.utils import validate
from cmc.utils.arrays import spaced
from cmc.utils.atomic import atomic_write

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_FORMATS = ("png", "pdf", "svg")


class Figures(Callback):
    """After the results: pictures under ``figures/``.

    ``losses``, ``measures``, ``confusion``, ``sizes``, ``confidence``, ``sharing`` (what modalities share),
    ``embedding``, and ``phases``: the embedding at the end of each phase, for which a small array is kept under
    ``figures/phases/`` when a phase ends. A picture that would show nothing (no labels, no confidences, one epoch, one
    phase) is left out.

    Args:
        max_points: samples drawn in the embedding, evenly spaced; t-SNE takes seconds for each thousand.
        projection: of the embedding to two dimensions: ``pca``, ``tsne`` or ``umap``.
        formats: of the files: ``png``, ``pdf``, ``svg``.
    """

    def __init__(self, max_points: int = 1000, projection: str = "tsne", formats: Sequence[str] = ("png",)) -> None:
        self._max_points = validate.whole("callbacks.figures.max_points", max_points, least=2)
        self._projection = validate.one_of("callbacks.figures.projection", projection, PROJECTIONS)
        are_known = validate.is_list(formats) and len(formats) > 0 and all(name in _FORMATS for name in formats)
        validate.require("callbacks.figures.formats", formats, are_known, f"a list of {', '.join(_FORMATS)}")
        self._formats = list(formats)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: Any) -> None:
        """At the end of each phase but the last, keep what its picture needs."""
        epoch, schedule = trainer.current_epoch, pl_module.schedule
        phase, within = schedule.at(epoch)
        if within + 1 < phase.epochs or epoch + 1 == schedule.n_epochs:
            return
        features, clusters = _seen(pl_module, trainer.datamodule, self._max_points)  # type: ignore[attr-defined]
        if trainer.is_global_zero:
            path = _phases(Path(trainer.default_root_dir)) / f"{schedule.phases.index(phase):02d}-{phase.name}.npz"
            with atomic_write(path) as unfinished:
                np.savez(unfinished, features=features, clusters=clusters if clusters is not None else np.empty(0))

    def on_fit_end(self, trainer: Trainer, pl_module: Any) -> None:
        """Draw from the run folder's files."""
        if trainer.is_global_zero:
            folder = Path(trainer.default_root_dir)
            draw(folder, pl_module.n_clusters, self._max_points, self._projection, self._formats)


def _seen(method: Method, data: DataModule, max_points: int) -> tuple[np.ndarray, np.ndarray | None]:
    """Of evenly spaced samples: the embedding, and the clusters where the phase assigns any; on every process."""
    with method.evaluating():
        if method.is_assigning:
            method.settle(data.pass_over())
        batch = data.spaced(max_points)
        features = method.embed(batch).float().cpu().numpy()
        return features, assign_present(method, batch)[0].argmax(1).cpu().numpy() if method.is_assigning else None


def _phases(folder: Path) -> Path:
    return folder / "figures" / "phases"


def draw(
    folder: Path,
    n_clusters: int,
    max_points: int = 1000,
    projection: str = "tsne",
    formats: Sequence[str] = ("png",),
) -> None:
    """Draw the figures of a finished run from its files.

    Args:
        folder: the run's; ``embeddings.npy`` and ``history.csv`` may be missing.
        n_clusters: K.
        max_points: see `Figures`, as for the next two.
        projection: of the embedding.
        formats: of the files.
    """
    assignments = read_assignments(folder)
    assert assignments is not None
    clusters, labels = assignments.cluster, assignments.label
    embeddings, chosen = read_embeddings(folder), spaced(len(clusters), max_points)
    ends = (
        [*_ends(folder), (_last_phase(folder), embeddings[chosen], clusters[chosen])] if embeddings is not None else []
    )
    with ThreadPoolExecutor(1) as pool:  # without Python's lock for the most part
        projected = pool.submit(figures.project_each, [features for _, features, _ in ends], projection)
        _save(_plain(folder, assignments, n_clusters), folder, formats)
    if not ends:
        return
    shown = None if labels is None else labels[chosen]
    points = [(name, Points(where, own, shown)) for where, (name, _, own) in zip(projected.result(), ends, strict=True)]
    found = None if labels is None else match_samples(clusters, labels, n_clusters)
    drawn = {"embedding": figures.embedding(points[-1][1], n_clusters, found)}
    if len(points) > 1:
        drawn["phases"] = figures.phases(points, n_clusters)
    _save(drawn, folder, formats)


def _plain(folder: Path, assignments: Assignments, n_clusters: int) -> dict[str, Figure | None]:
    """The pictures that need no projection."""
    history = read_history(folder)
    clusters, labels, confidence = assignments.cluster, assignments.label, assignments.confidence
    return {
        "losses": figures.losses(history) if history else None,
        "measures": figures.measures(history) if history else None,
        "confusion": None if labels is None else figures.confusion(clusters, labels, n_clusters),
        "sizes": figures.sizes(clusters, labels, n_clusters),
        "confidence": figures.confidence(confidence, clusters, labels, n_clusters, assignments.calibrated),
        "sharing": figures.sharing(read_report(folder).get("shared") or ()),
    }


def _save(drawn: Mapping[str, Figure | None], folder: Path, formats: Sequence[str]) -> None:
    for name, figure in drawn.items():
        if figure is not None:
            figures.save(figure, folder / "figures" / name, formats)


def _ends(folder: Path) -> Iterator[tuple[str, np.ndarray, np.ndarray | None]]:
    """Of every phase before the last: its name, the embedding, and the clusters if it had any."""
    for path in sorted(_phases(folder).glob("*.npz")):
        with np.load(path, allow_pickle=False) as kept:
            clusters = kept["clusters"]
            yield path.stem.partition("-")[2], kept["features"], clusters if len(clusters) else None


def _last_phase(folder: Path) -> str:
    epochs: dict[str, int] = read_report(folder)["phases"]
    return [name for name, n in epochs.items() if n][-1]
