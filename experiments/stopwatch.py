"""What times a run for the benchmark: a callback, and a watch on its parts besides training steps."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import wraps
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from pytorch_lightning import Callback

from cmc.callbacks.checkpoints import Checkpoints
from cmc.callbacks.evaluation import Evaluation
from cmc.callbacks.figures import Figures
from cmc.callbacks.results import Results
from cmc.methods.cmmc import CMMC
from cmc.methods.dmim import DMIM

PARTS: dict[str, list[tuple[type, str]]] = {
    "pseudo labels": [(CMMC, "refresh"), (DMIM, "refresh")],
    "metrics and results": [(Evaluation, "on_train_epoch_end"), (Results, "on_fit_end")],
    "figures": [(Figures, "on_train_epoch_end"), (Figures, "on_fit_end")],
    "checkpoints": [(Checkpoints, name) for name in ("on_train_batch_end", "on_train_epoch_end", "on_fit_end")],
}


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


@contextmanager
def parts_timed() -> Iterator[dict[str, float]]:
    """Seconds that each of `PARTS` takes of what runs within."""
    seconds = dict.fromkeys(PARTS, 0.0)

    def timed(part: str, function: Any) -> Any:
        @wraps(function)
        def run(*given: Any, **named: Any) -> Any:
            began = time.perf_counter()
            try:
                return function(*given, **named)
            finally:
                seconds[part] += time.perf_counter() - began

        return run

    with ExitStack() as patches:
        for part, methods in PARTS.items():
            for kind, name in methods:
                patches.enter_context(patch.object(kind, name, timed(part, getattr(kind, name))))
        yield seconds
