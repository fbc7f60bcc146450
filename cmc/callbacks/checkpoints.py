"""``checkpoints/last.ckpt``: written whole or not at all, and on Ctrl-C."""

from __future__ import annotations

import signal
import threading
import time
from pathlib import Path
from types import FrameType
from typing import Any

from pytorch_lightning import Trainer
from pytorch_lightning.callbacks import Checkpoint
from rich.console import Console

from cmc.distributed import anywhere
from cmc.errors import Interrupted
from cmc.storage import replacing

NAME = Path("checkpoints", "last.ckpt")


class Checkpoints(Checkpoint):
    """Keep one checkpoint from which a run resumes bit for bit.

    It is written at the end of every phase, at the end of an epoch when ``minutes`` have passed, and when the user
    stops the run: the step in hand is finished, the checkpoint written and the run ended. A second Ctrl-C stops at
    once; the checkpoint before stands.

    Args:
        minutes: between two checkpoints within a phase.
    """

    def __init__(self, minutes: float = 5) -> None:
        self._seconds = 60 * minutes
        self._written = 0.0
        self._stop = False
        self._handler: Any = None

    def on_train_start(self, trainer: Trainer, pl_module: Any) -> None:
        """Start the clock; take over Ctrl-C."""
        self._written, self._stop = time.monotonic(), False
        if threading.current_thread() is threading.main_thread():  # no other may
            self._handler = signal.signal(signal.SIGINT, self._request_stop)

    def _request_stop(self, number: int, frame: FrameType | None) -> None:
        self._stop = True
        signal.signal(signal.SIGINT, self._handler)
        Console(stderr=True).print("\nstopping: finishing this step and writing a checkpoint (Ctrl-C again: at once)")

    def on_train_batch_end(self, trainer: Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Stop in mid-epoch; an epoch's last batch leaves that to the epoch's end."""
        if batch_idx + 1 < trainer.num_training_batches and anywhere(self._stop, pl_module.device):
            self._leave(trainer, pl_module)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: Any) -> None:
        """Write at the end of a phase and when it is time; stop when asked to."""
        if anywhere(self._stop, pl_module.device):
            self._leave(trainer, pl_module)
        phase, epoch = pl_module.schedule.at(trainer.current_epoch)
        late = time.monotonic() - self._written > self._seconds
        if epoch + 1 == phase.epochs or anywhere(late, pl_module.device):
            self._write(trainer)

    def _leave(self, trainer: Trainer, method: Any) -> None:
        self._write(trainer)
        phase, epoch = method.schedule.at(trainer.current_epoch)
        raise Interrupted(
            f"stopped in {phase.name}, epoch {epoch + 1} of {phase.epochs}; "
            f"go on with: python -m cmc.run resume={trainer.default_root_dir}"
        )

    def _write(self, trainer: Trainer) -> None:
        path = Path(trainer.default_root_dir) / NAME
        if trainer.is_global_zero:
            with replacing(path) as unfinished:
                trainer.save_checkpoint(unfinished)
        else:
            trainer.save_checkpoint(path)  # takes part, and writes nothing
        self._written = time.monotonic()

    def teardown(self, trainer: Trainer, pl_module: Any, stage: str) -> None:
        """Give Ctrl-C back."""
        self._release()

    def on_train_end(self, trainer: Trainer, pl_module: Any) -> None:
        """Give Ctrl-C back."""
        self._release()

    def _release(self) -> None:
        if self._handler is not None:
            signal.signal(signal.SIGINT, self._handler)
            self._handler = None
