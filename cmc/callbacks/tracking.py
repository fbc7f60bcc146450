"""What experiment trackers (W&B, TensorBoard, MLflow) are told beyond the history."""

from __future__ import annotations

import logging
import time
from pathlib import Path
from typing import Any

import torch
from omegaconf import OmegaConf
from pytorch_lightning import Callback, Trainer

from cmc.clusters.run import with_clusters
from cmc.data.module import DataModule
from cmc.loggers.tracker import Tracker
from cmc.runs.config import read_config
from cmc.runs.outcome import read_outcome
from cmc.utils import validate

log = logging.getLogger(__name__)
_CLUSTERS = 200  # that are shown, the largest


class Tracking(Callback):
    """Settings before training, learning rate and samples a second with every epoch, the run folder's results after.

    It stands before other callbacks, so that an epoch's seconds are training's alone.

    Args:
        max_rows: of the table of assignments; more samples are thinned out evenly.
        max_points: samples whose embeddings are shown.
    """

    def __init__(self, max_rows: int = 10_000, max_points: int = 1000) -> None:
        self._max_rows = validate.whole("callbacks.tracking.max_rows", max_rows, least=1)
        self._max_points = validate.whole("callbacks.tracking.max_points", max_points, least=1)
        self._began, self._seen_before = 0.0, 0

    def on_fit_start(self, trainer: Trainer, pl_module: Any) -> None:
        """Tell the settings, and what the data turned out to be."""
        if not trainer.is_global_zero:
            return
        folder = Path(trainer.default_root_dir)
        config: Any = OmegaConf.to_container(read_config(folder))
        data: DataModule = trainer.datamodule  # type: ignore[attr-defined]
        facts = {"scaling": ", ".join(sorted(set(data.scaler.kinds.values())))}
        if data.surrogate:
            facts["surrogate"] = data.source
        for tracker in _trackers(trainer):
            tracker.log_hyperparams({**config, "folder": str(folder), "dataset": data.source})
            tracker.describe(facts)

    def on_train_start(self, trainer: Trainer, pl_module: Any) -> None:
        """Start the clock of a resumed epoch."""
        self._began, self._seen_before = time.monotonic(), pl_module.n_seen

    def on_train_epoch_start(self, trainer: Trainer, pl_module: Any) -> None:
        """Start the epoch's clock."""
        self._began, self._seen_before = time.monotonic(), 0

    def on_train_epoch_end(self, trainer: Trainer, pl_module: Any) -> None:
        """Note the epoch's rates, for the row that the method logs."""
        if trainer.strategy.root_device.type == "cuda":
            torch.cuda.synchronize(trainer.strategy.root_device)
        seconds = time.monotonic() - self._began
        rates = {
            "training/phase": float(pl_module.schedule.phases.index(pl_module.phase)),
            "training/samples_per_second": (pl_module.n_seen - self._seen_before) / seconds,
        }
        groups = [group for optimizer in trainer.optimizers for group in optimizer.param_groups]
        if groups and "lr" in groups[0]:  # there are none where nothing is trained by gradients
            rates["training/learning_rate"] = groups[0]["lr"]
        for tracker in _trackers(trainer):
            tracker.noted = rates

    def teardown(self, trainer: Trainer, pl_module: Any, stage: str) -> None:
        """Publish the results, which other callbacks have written."""
        if not trainer.is_global_zero:
            return
        outcome = read_outcome(Path(trainer.default_root_dir), self._max_rows, self._max_points)
        if len(outcome.assignments.rows) < outcome.assignments.total:
            log.info(
                "trackers: %d of %d assignments, evenly spaced; assignments.csv holds all",
                len(outcome.assignments.rows),
                outcome.assignments.total,
            )
        outcome = with_clusters(outcome, _CLUSTERS)
        for tracker in _trackers(trainer):
            tracker.publish(outcome)


def _trackers(trainer: Trainer) -> list[Tracker]:
    return [logger for logger in trainer.loggers if isinstance(logger, Tracker)]
