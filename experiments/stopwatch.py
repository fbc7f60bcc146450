"""A callback that times a run: what the benchmark reads off."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning import Callback


def now(device: torch.device) -> float:
    """Seconds, once all that was asked of the device is done."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


class Stopwatch(Callback):
    """Seconds of each epoch and of its steps alone, and the moment of the first step; ``latest``: of the last run."""

    latest: Stopwatch

    def __init__(self, mark: str | None = None) -> None:
        Stopwatch.latest = self
        self.epochs: list[tuple[str, float, float]] = []
        self._mark, self._began, self._steps, self._step = mark, 0.0, 0.0, 0.0

    def on_train_epoch_start(self, trainer: Any, pl_module: Any) -> None:
        """Begin an epoch."""
        self._began, self._steps = now(pl_module.device), 0.0

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        """Begin a step."""
        if self._mark:
            Path(self._mark).write_text(str(time.time()))
            self._mark = None
        self._step = time.perf_counter()

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """End a step."""
        self._steps += time.perf_counter() - self._step

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        """End an epoch."""
        self.epochs.append((pl_module.phase.name, now(pl_module.device) - self._began, self._steps))
