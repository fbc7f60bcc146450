"""A feature folder by Lightning's predict loop: on one device, or on several, each of which takes a share of the steps.

A step is one batch of images or texts, whoever takes it, and is written where it belongs as soon as it is made: the
numbers do not depend on how many processes there are, none is made twice, and a command that was stopped goes on with
any number of them.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

from lightning_fabric.plugins.environments.lightning import LightningEnvironment
from omegaconf import DictConfig
from pytorch_lightning import LightningDataModule, LightningModule, Trainer
from pytorch_lightning.callbacks import BasePredictionWriter
from torch.utils.data import DataLoader

from cmc.config.messages import make
from cmc.data.datasets.published import Raw
from cmc.data.preparation.extraction import Block, Modality
from cmc.data.preparation.feature_store import skipped, told
from cmc.data.preparation.making import Making
from cmc.distributed.strategy import quiet
from cmc.errors import Interrupted, Preempted, UserError
from cmc.training.hardware import computing_on
from cmc.training.launcher import GO_ON
from cmc.training.trainer import make_trainer
from cmc.utils.allocator import keep_freed_memory
from cmc.utils.progress import Step, bars
from cmc.utils.signals import StoppedAtOnce

log = logging.getLogger(__name__)
_LOOK = 1.0  # seconds between looks at what the others have done

Taking = tuple[str, int]  # a modality and its step
Taken = tuple[str, int, Iterator[Block]]  # the same, and what it gives


def prepare(config: DictConfig) -> None:
    """Make the feature folder of ``config.data``, or go on with it, as one of ``config.trainer.devices`` processes.

    Raises:
        UserError: the data need no preparation; what is wrong with them; a folder that holds something else; devices
            that are not there.
        Interrupted: the user stopped it.
    """
    quiet()
    data = make("data", config.data)
    if not isinstance(data, Raw):
        raise UserError("data: this data set needs no preparation; run it with python -m cmc.run")
    steps = Steps(data)
    trainer = make_trainer(
        config,
        backend="gloo",  # nothing but barriers
        callbacks=[Writer(steps)],
        precision="32-true",
        logger=False,
        enable_checkpointing=False,
        use_distributed_sampler=False,  # the steps are divided already
        plugins=[LightningEnvironment()],  # processes are ours, whatever SLURM says
    )
    threads = config.trainer.threads
    computing = computing_on(threads) if isinstance(threads, int) else nullcontext()
    shown = bars() if trainer.is_global_zero else nullcontext((_unheard, _unheard))
    with keep_freed_memory(), _stoppable(), computing, shown as heard:
        steps.advance, steps.start = heard
        trainer.predict(Extractors(steps), datamodule=steps, return_predictions=False)
        if not trainer.is_global_zero:
            return
        while not steps.look(0):
            time.sleep(_LOOK)
        meta = steps.making.finish()
    _tell(data, meta)


@contextmanager
def _stoppable() -> Iterator[None]:
    """Say how to go on where the work is stopped.

    Raises:
        Interrupted: it was.
    """
    try:
        yield
    except StoppedAtOnce as stop:
        raise Preempted(stop, GO_ON) from None
    except (KeyboardInterrupt, SystemExit):  # the latter is what Lightning makes of a Ctrl-C
        raise Interrupted("stopped", GO_ON) from None


def _unheard(name: str, rows: int) -> None:
    """The progress of a process other than the first."""


class Steps(LightningDataModule):
    """The steps that are left, each process its own.

    Args:
        data: to be prepared.

    Attributes:
        making: the feature folder, as this process makes it.
        advance: told the modality and how many rows all processes have done.
        start: told each modality and how many rows there are to do.
    """

    making: Making
    advance: Step
    start: Step

    def __init__(self, data: Raw) -> None:
        super().__init__()
        self.allow_zero_length_dataloader_with_multiple_devices = True  # there may be fewer steps than devices
        self._data, self._seen, self._looked = data, dict[str, int](), 0.0

    def prepare_data(self) -> None:
        """Begin the folder; the first process alone does, while the others wait."""
        self._data.provide(self.advance, self.start)
        self.making = self._data.making(self._device())
        self.making.begin()
        for name, rows in self.making.rows().items():
            log.info("%s: %s, %s", name, self.making.made[name].name, self._where(self.making.made[name]))
            self._seen[name] = 0
            self.start(name, rows)
        self.look(0)

    def setup(self, stage: str) -> None:
        """Open the raw files and load the models on the other processes, too."""
        if not self._trainer.is_global_zero:
            self.making = self._data.making(self._device(), divisible=True)

    def predict_dataloader(self) -> DataLoader[Taking]:
        """This process's share of what is left."""
        share = self.making.share(self._trainer.global_rank, self._trainer.world_size)
        return DataLoader(share, batch_size=None)  # type: ignore[arg-type]  # a list is a data set, too

    def look(self, seconds: float = _LOOK) -> bool:
        """Show what all processes have done, unless it was looked at so few seconds ago; return whether that is all."""
        if not self._trainer.is_global_zero or time.monotonic() - self._looked < seconds:
            return False
        self._looked, taken = time.monotonic(), self.making.rows_taken()
        for name, rows in taken.items():
            if rows > self._seen[name]:
                self.advance(name, rows - self._seen[name])
                self._seen[name] = rows
        return taken == self.making.rows()

    @property
    def _trainer(self) -> Trainer:
        assert self.trainer is not None
        return self.trainer

    def _device(self) -> str:
        """The one that the settings name, else this process's own."""
        named = self._data.extraction.device
        return str(self._trainer.strategy.root_device) if named == "auto" else named

    def _where(self, modality: Modality) -> str:
        """What a modality is made on, for the log."""
        n = self._trainer.world_size
        if n == 1:
            return f"on {modality.device}"
        if modality.steps == 1:
            return f"on {modality.device}, by one process: it cannot be divided"
        return f"on {modality.device} by the first of {n} processes that share it"


class Extractors(LightningModule):
    """The extractors of all modalities, as a module whose predictions are blocks of their arrays."""

    def __init__(self, steps: Steps) -> None:
        super().__init__()
        self._steps = steps

    def predict_step(self, batch: Taking, batch_idx: int) -> Taken:
        """Take a step; its blocks are made as they are written."""
        name, step = batch
        return name, step, self._steps.making.made[name].run(step)


class Writer(BasePredictionWriter):
    """Writes what a step gave as soon as it was taken."""

    def __init__(self, steps: Steps) -> None:
        super().__init__("batch")
        self._steps = steps

    def write_on_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        prediction: Taken,
        batch_indices: object,
        batch: Taking,
        batch_idx: int,
        dataloader_idx: int,
    ) -> None:
        """Write, and note that the step was taken."""
        self._steps.making.take(*prediction)
        self._steps.look()


def _tell(data: Raw, meta: dict[str, Any]) -> None:
    widths = " + ".join(f"{name} {made['width']} ({made['extractor']})" for name, made in meta["modalities"].items())
    classes = meta["classes"]
    k = f", K = {len(classes)} ({', '.join(classes)})" if classes else ", no labels"
    left_out = f"{words}: see skipped.csv" if (words := told(skipped(data.root))) else ""
    print(f"{data.root}: {meta['n_samples']} samples, {widths}{k}{left_out}")
    ask = "" if classes else " data.n_clusters=K"
    print(f"next: python -m cmc.run data={meta['name']} data.root={data.root}{ask}")
