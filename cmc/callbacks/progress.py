"""A progress bar over the whole run that names the phase and shows loss and score.

Lightning's ``RichProgressBar`` counts the batches of an epoch: where an epoch is one full batch it would jump from
empty to full at every epoch, and never say how far the run is.
"""

from __future__ import annotations

import time
from typing import Any

from pytorch_lightning import Callback, Trainer
from rich.console import Console
from rich.progress import BarColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from cmc.utils import validate


class Progress(Callback):
    """One bar, in epochs, on a terminal; a line a phase and a minute where standard error is a file.

    Args:
        refresh_per_second: how often the bar is drawn.
    """

    def __init__(self, refresh_per_second: float = 4) -> None:
        self._console: Console  # made where training runs: it cannot be handed to another process
        self._interval = 1 / validate.number("callbacks.progress.refresh_per_second", refresh_per_second, above=0)
        self._bar: Bar | None = None
        self._score = ""
        self._since = self._drawn = 0.0

    def on_train_start(self, trainer: Trainer, pl_module: Any) -> None:
        """Open the bar at the epoch where training begins or goes on."""
        self._since = self._drawn = time.monotonic()
        self._console = Console(stderr=True)
        if not (trainer.is_global_zero and self._console.is_terminal):
            return
        self._bar = Bar(
            TextColumn("[bold]{task.description}"),
            BarColumn(bar_width=30),
            TextColumn("{task.fields[epoch]}/{task.total} epochs"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[state]}"),
            console=self._console,
            refresh_per_second=1 / self._interval,
        )
        epoch = trainer.current_epoch
        self._task = self._bar.add_task("", total=trainer.max_epochs, completed=epoch, epoch=epoch, state="")
        self._bar.start()

    def on_train_epoch_start(self, trainer: Trainer, pl_module: Any) -> None:
        """Name the phase."""
        if self._bar is not None:
            self._bar.update(self._task, description=pl_module.phase.name)

    def on_train_batch_end(self, trainer: Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Move within a long epoch."""
        if self._bar is not None and time.monotonic() - self._drawn > self._interval:
            self._drawn = time.monotonic()
            self._bar.update(
                self._task, completed=trainer.current_epoch + (batch_idx + 1) / trainer.num_training_batches
            )

    def on_train_epoch_end(self, trainer: Trainer, pl_module: Any) -> None:
        """Advance, with the epoch's loss and the latest score."""
        record = pl_module.record()
        if "acc" in record:
            self._score = " ".join(f"{key.upper()} {record[key]:.3f}" for key in ("acc", "nmi", "ari"))
        state = f"loss {record['loss']:.4f} {self._score}".rstrip()
        phase, epoch = pl_module.schedule.at(trainer.current_epoch)
        done = trainer.current_epoch + 1
        if self._bar is not None:
            self._bar.update(self._task, completed=done, epoch=done, state=state)
        elif trainer.is_global_zero and (epoch + 1 == phase.epochs or time.monotonic() - self._drawn > 60):
            self._drawn = time.monotonic()
            seconds = self._drawn - self._since
            self._console.print(f"{phase.name}: epoch {epoch + 1} of {phase.epochs} after {seconds:.0f} s: {state}")

    def on_train_end(self, trainer: Trainer, pl_module: Any) -> None:
        """Close the bar."""
        self._close()

    def on_exception(self, trainer: Trainer, pl_module: Any, exception: BaseException) -> None:
        """Close the bar."""
        self._close()

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None
