"""Weights & Biases, by Lightning's logger."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from lightning_fabric.loggers.logger import rank_zero_experiment
from pytorch_lightning import loggers
from pytorch_lightning.utilities import rank_zero_only

from cmc.errors import UserError
from cmc.loggers.tracker import Tracker, flatten, keep_id, kept_id
from cmc.runs.outcome import Outcome, Table
from cmc.utils import turns

log = logging.getLogger(__name__)
_SIDE = 96  # pixels of a picture in a table
_PATIENCE = 60.0  # seconds to wait for W&B's server before a run ends


class WandbLogger(Tracker, loggers.WandbLogger):
    """One W&B run for one run folder: begun when training begins, taken up by a resumed run, closed at the end.

    Args:
        save_dir: the run folder, in which W&B's own folder lies.
        mode: ``online``, ``offline`` or ``disabled``.
        settings: of ``wandb.init``: project, entity, group, name, tags.
    """

    def __init__(self, save_dir: str, mode: str = "online", **settings: Any) -> None:
        import wandb

        self._folder, self._mode = Path(save_dir), mode
        quiet = wandb.Settings(silent=True, console="off")
        if "WANDB_INIT_TIMEOUT" not in os.environ:
            quiet.init_timeout = _PATIENCE
        if turns.number() is not None:  # other runs of this process have theirs
            quiet.reinit = "create_new"
        run_id = kept_id(self._folder, "wandb")
        super().__init__(save_dir=save_dir, id=run_id, mode=mode, settings=quiet, **settings)
        self._wandb_init.pop("anonymous", None)  # which W&B warns of, whatever its value

    @property
    @rank_zero_experiment
    def experiment(self) -> Any:
        """The ``wandb.Run`` of the first process.

        Raises:
            UserError: W&B refuses the run, or cannot be reached for a minute, or ``WANDB_INIT_TIMEOUT`` seconds.
        """
        if self._experiment is None:
            self._begin()
        return self._experiment

    def _begin(self) -> None:
        import wandb

        try:
            run: Any = super().experiment
        except wandb.errors.Error as error:
            line = " ".join(str(error).split())
            raise UserError(f"logger.wandb: {line}; logger.wandb.mode=offline needs no connection") from None
        run.define_metric("epoch")
        run.define_metric("*", step_metric="epoch")
        if self._mode == "disabled":
            return
        keep_id(self._folder, "wandb", run.id)
        onward = run.url if self._mode == "online" else f"offline; to upload: wandb sync {run.settings.sync_dir}"
        log.info("W&B: %s", onward)

    def __getstate__(self) -> dict[str, Any]:
        """Leave beginning the run to the process that trains (Lightning's own would begin it in the parent)."""
        return {**self.__dict__, "_experiment": None}

    @rank_zero_only
    def describe(self, facts: Mapping[str, str]) -> None:
        """Add to the run's tags, which W&B lets be 64 characters long."""
        tags = (*(self.experiment.tags or ()), *(f"{name}: {value}"[:64] for name, value in facts.items()))
        self.experiment.tags = tuple(dict.fromkeys(tags))

    @rank_zero_only
    def publish(self, outcome: Outcome) -> None:
        """Log tables, pictures and the gallery, as an artifact; the summary takes what ``metrics.json`` holds."""
        import wandb

        shown: dict[str, Any] = {"assignments": _table(outcome.assignments.columns, outcome.assignments.rows)}
        if outcome.confusion is not None:
            shown["confusion"] = wandb.plot_table(
                "wandb/confusion_matrix/v1",
                _table(outcome.confusion.columns, outcome.confusion.rows),
                {name: name for name in outcome.confusion.columns[:3]},
                {"title": "Classes and the clusters matched to them"},
            )
        if outcome.embeddings is not None:
            shown["embedding"] = _embedding(outcome.points, outcome.embeddings)
        if outcome.clusters is not None:
            shown["clusters"] = _clusters(outcome.clusters, outcome.typical)
        shown |= {f"figures/{path.stem}": wandb.Image(str(path)) for path in outcome.figures}
        self.experiment.log(shown)
        if outcome.gallery:
            self.experiment.log_artifact(_artifact(f"gallery-{self.experiment.id}", outcome.gallery))
        self.experiment.summary.update(flatten(outcome.report))

    @rank_zero_only
    def finalize(self, status: str) -> None:
        """Close the run, so that a sweep's next job begins its own."""
        super().finalize(status)
        if self._experiment is not None:
            self._experiment.finish(exit_code=int(status != "success"))


def _table(columns: Iterable[str], rows: Iterable[Iterable[Any]]) -> Any:
    import wandb

    return wandb.Table(columns=list(columns), data=list(rows))


def _clusters(clusters: Table, typical: Sequence[Sequence[Path]]) -> Any:
    """A row a cluster, with the pictures of its most typical members, a column each."""
    small = [[_picture(path) for path in paths] for paths in typical]
    width = max(map(len, small), default=0)
    columns = [*clusters.columns, *(f"typical_{i + 1}" for i in range(width))]
    if not width:
        return _table(columns, clusters.rows)
    padded = ([*images, *[None] * (width - len(images))] for images in small)
    return _table(columns, ([*row, *images] for row, images in zip(clusters.rows, padded, strict=True)))


def _picture(path: Path) -> Any:
    """A small picture; None where it cannot be read any more."""
    import wandb

    from cmc.data.preparation.images import Unreadable, thumbnail

    try:
        return wandb.Image(thumbnail(path, _SIDE), caption=path.name)
    except (Unreadable, OSError):
        return None


def _artifact(name: str, paths: Iterable[Path]) -> Any:
    """Files and folders under one name."""
    import wandb

    artifact = wandb.Artifact(name, type="gallery")
    for path in paths:
        if path.is_dir():
            artifact.add_dir(str(path), name=path.name)
        else:
            artifact.add_file(str(path), name=path.name)
    return artifact


def _embedding(points: Table, embeddings: np.ndarray) -> Any:
    """A row a sample, a column a dimension: what W&B's panel *Combined 2D Projector* reads."""
    values = embeddings.astype(float).round(5).tolist()
    columns = [*points.columns, *(f"x{i}" for i in range(embeddings.shape[1]))]
    return _table(columns, ([*row, *x] for row, x in zip(points.rows, values, strict=True)))
