"""``checkpoints/last.ckpt`` and the one before: when they are written, and how a run is stopped."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from pytorch_lightning import Trainer
from pytorch_lightning.callbacks import Checkpoint

from cmc.distributed import any_rank
from cmc.errors import Interrupted, Preempted
from cmc.runs.checkpoint import CheckpointFiles, double
from cmc.runs.folder import LAST
from cmc.utils import validate
from cmc.utils.atomic import to_disk
from cmc.utils.signals import Requests


class Checkpoints(Checkpoint):
    """Keep checkpoints from which a run resumes bit for bit.

    One is written at the end of every phase and of the run, after the step in hand when ``minutes`` have passed, and
    when the run is asked to stop: by Ctrl-C, or by a signal of pre-emption (`cmc.utils.signals`). The run then ends. A
    second Ctrl-C stops at once; the checkpoint before stands.

    Args:
        minutes: between two checkpoints within a phase; 0 writes one after every step.
    """

    def __init__(self, minutes: float = 5) -> None:
        is_time = validate.is_number(minutes) and minutes >= 0
        self._seconds = 60 * validate.require(
            "callbacks.checkpoints.minutes", minutes, is_time, "a number of at least 0"
        )
        self._written = 0.0
        self._requests = Requests()

    def setup(self, trainer: Trainer, pl_module: Any, stage: str) -> None:
        """Have checkpoints written our way."""
        trainer.strategy.checkpoint_io = CheckpointFiles()

    def on_train_start(self, trainer: Trainer, pl_module: Any) -> None:
        """Start the clock; listen to requests."""
        self._written = time.monotonic()
        self._requests.listen()

    def on_train_batch_end(self, trainer: Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Write and stop in mid-epoch; an epoch's last batch leaves that to the epoch's end."""
        if batch_idx + 1 < trainer.num_training_batches:
            self._attend(trainer, pl_module)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: Any) -> None:
        """Write at the end of a phase, and where `cmc.callbacks.Stopping` ends the run, too."""
        phase, epoch = pl_module.schedule.at(trainer.current_epoch)
        self._attend(trainer, pl_module, due=epoch + 1 == phase.epochs or trainer.should_stop)

    def _attend(self, trainer: Trainer, method: Any, due: bool = False) -> None:
        """Write when it is due or time, and when asked to stop; all processes decide together."""
        late = time.monotonic() - self._written >= self._seconds
        stop, preempted, late = any_rank([self._requests.stop, self._requests.preempted, late], method.device)
        if due or late or stop:
            self._write(trainer)
        if stop:
            phase, epoch = method.schedule.at(trainer.current_epoch)
            ending = Preempted if preempted else Interrupted
            raise ending(f"stopped in {phase.name}, epoch {epoch + 1} of {phase.epochs}")

    def _write(self, trainer: Trainer) -> None:
        run = Path(trainer.default_root_dir)
        history = run / "history.csv"
        if trainer.is_global_zero and history.exists():
            to_disk(history)  # a resumed run counts on the rows before the checkpoint
        trainer.save_checkpoint(run / LAST)  # all processes take part, the first writes
        self._written = time.monotonic()

    def on_exception(self, trainer: Trainer, pl_module: Any, exception: BaseException) -> None:
        """Give the signals back."""
        self._requests.release()

    def teardown(self, trainer: Trainer, pl_module: Any, stage: str) -> None:
        """Give the signals back."""
        self._requests.release()

    def on_train_end(self, trainer: Trainer, pl_module: Any) -> None:
        """Give the signals back."""
        self._requests.release()

    def on_fit_end(self, trainer: Trainer, pl_module: Any) -> None:
        """Keep the trained model twice."""
        if trainer.is_global_zero:
            double(Path(trainer.default_root_dir))
