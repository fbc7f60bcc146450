"""The training loop beneath every method: steps, means of loss terms, checks that numbers are finite, checkpoints.

An author of a method need not read it: what a method brings is in `cmc.methods.base.Method`.
"""

from __future__ import annotations

import math
import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from shutil import which
from typing import Any, ClassVar

import torch
from pytorch_lightning import LightningModule
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from cmc import distributed
from cmc.data.loader import Batch, Batches, InOrder, Span
from cmc.data.module import DataModule
from cmc.errors import Diverged, UserError
from cmc.methods.gradients import clip, drop_vanishing, norm, not_finite, optimizer_numbers
from cmc.methods.loss_meter import LossMeter
from cmc.methods.phases import Phase, Schedule
from cmc.methods.pieces import Piece, learn
from cmc.utils import rng, turns, validate

_TIDYING = 100  # steps; 0.9 ** 100 * 1e-32 is no denormal number yet


class TrainingLoop(LightningModule, ABC):
    """What Lightning's Trainer drives: one optimiser through all phases, resumable bit for bit after any step.

    Args:
        schedule: the phases.
        optimizer: a function of the parameters; None where nothing is trained by gradients.
        drop_last: leave the incomplete last batch of an epoch out.
        scheduler: a function of the optimiser, stepped once an epoch; None keeps the learning rate.
        gradient_clip: a bound on the norm of a network's gradient; None leaves it as it is.
        compile: train the functions that `compilable` names through ``torch.compile``.

    Raises:
        UserError: a bound on the gradient that is none; nothing to compile with.
    """

    compilable: ClassVar[tuple[str, ...]] = ()
    comparing: ClassVar[frozenset[str]] = frozenset()

    def __init__(
        self,
        schedule: Schedule,
        optimizer: Callable[[Iterable[Tensor]], Optimizer] | None,
        drop_last: bool,
        scheduler: Callable[[Optimizer], LRScheduler] | None,
        gradient_clip: float | None,
        compile: bool,
    ) -> None:
        super().__init__()
        validate.number("method.gradient_clip", gradient_clip, above=0, or_null=True)
        what = "null, or a mapping with the _target_ of a schedule and _partial_: true"
        validate.require("method.scheduler", scheduler, scheduler is None or callable(scheduler), what)
        if compile and not torch.cuda.is_available() and which(compiler := os.environ.get("CXX", "g++")) is None:
            raise UserError(f"method.compile: true given, but there is no C++ compiler ({compiler}); give false")
        self.automatic_optimization = False
        self.schedule, self.drop_last, self.gradient_clip = schedule, drop_last, gradient_clip
        self._optimizer, self._scheduler, self._compile = optimizer, scheduler, compile
        self._means = LossMeter()
        self._notes: dict[str, float] = {}
        self._random_state: dict[str, Any] = {}

    @abstractmethod
    def pieces(self, batch: Batch | Span) -> Iterator[Piece]:
        """The objective of a batch, piece by piece."""

    @abstractmethod
    def refresh(self, phase: str, epoch: int, batches: InOrder) -> None:
        """Called before every epoch."""

    @abstractmethod
    def settle(self, batches: InOrder) -> None:
        """Called at the end of the last epoch."""

    def side_by_side(self) -> list[list[torch.nn.Parameter]]:
        """Parameters in groups that have nothing in common: one, or several networks whose objectives' mean is trained.

        Each group's step is what it would be without the others, by any optimiser and under a bound on the gradient.
        """
        return [list(self.parameters())]

    @property
    def phase(self) -> Phase:
        """The phase that the present epoch belongs to."""
        return self.schedule.at(self.current_epoch)[0]

    @property
    def is_trained(self) -> bool:
        """Whether the method is trained by gradients."""
        return self._optimizer is not None

    @property
    def n_seen(self) -> int:
        """Samples that all processes have trained on in the present epoch."""
        return self._means.n_seen

    @contextmanager
    def evaluating(self) -> Iterator[None]:
        """Evaluation mode without gradients; training mode comes back afterwards."""
        training = self.training
        self.eval()
        try:
            with torch.no_grad():
                yield
        finally:
            self.train(training)

    def note(self, **values: float) -> None:
        """Add figures to the present epoch's row of the history."""
        self._notes.update(values)

    def record(self) -> dict[str, float]:
        """The epoch so far: ``loss``, the mean of each term over the samples seen, and what was noted."""
        means = self._means.means()
        return {"loss": sum(means.values()), **means, **self._notes}

    def require_finite(self, what: str, x: Tensor) -> None:
        """Stop a run that has arrived at numbers which are none.

        Args:
            what: a plural, which opens the message.
            x: the numbers.

        Raises:
            Diverged: one of them is infinite or NaN.
        """
        if found := not_finite([("", x)]):
            raise self._diverged(f"{what} hold {found[1]}")

    def train_batches(self, data: DataModule) -> Batches:
        """Batches of the present epoch, as its phase asks for them."""
        phase = self.phase
        among = data.fitted if phase.name in self.comparing else None
        return data.batches(phase.batch_size, phase.chunk_size is not None, self.drop_last, self.current_epoch, among)

    def configure_optimizers(self) -> Optimizer | tuple[list[Optimizer], list[LRScheduler]] | None:
        """One optimiser for all phases, if any."""
        if self._optimizer is None:
            return None
        try:
            optimizer = self._optimizer(self.parameters())
        except (TypeError, ValueError) as error:
            raise UserError(f"method.optimizer: {error}") from None
        return optimizer if self._scheduler is None else ([optimizer], [self._scheduler(optimizer)])

    def on_train_start(self) -> None:
        """Begin with one set of parameters and compiled; take up the random numbers where the checkpoint left them."""
        for parameter in self.parameters():
            distributed.broadcast(parameter.data)
        for name in self.compilable if self._compile else ():
            setattr(self, name, torch.compile(getattr(self, name)))
        if self._random_state:
            rng.set_state(self._random_state)
            self._random_state = {}

    def on_train_epoch_start(self) -> None:
        """Start the epoch's means; let the method refresh what it keeps for an epoch."""
        self._means, self._notes = LossMeter(), {}
        phase, epoch = self.schedule.at(self.current_epoch)
        with self.evaluating():
            self.refresh(phase.name, epoch, self._passes())

    def training_step(self, batch: Batch | Span, batch_idx: int) -> None:
        """One optimiser step; the gradient is the sum over the pieces of the objective.

        Raises:
            Diverged: at an epoch's last step, a loss term or a parameter is no finite number.
        """
        optimizer = self.optimizers()
        assert not isinstance(optimizer, list)
        optimizer.zero_grad()
        self._means.n_seen += batch.total
        averaged = getattr(self.trainer.strategy, "averages_gradients", True)
        groups = self.side_by_side()
        times = len(groups) * (distributed.world_size() if averaged else 1)
        n_steps = int(self.trainer.num_training_batches)
        for losses, weight in self._learned(batch, batch.share * times):
            self._means.add(losses, weight * batch.size, batch_idx, n_steps)
        if not averaged:
            distributed.sum_gradients(self.parameters())
        if self.gradient_clip is not None:
            for group in groups:
                clip(group, self.gradient_clip, getattr(self.trainer.precision_plugin, "scaler", None))
        optimizer.step()
        if self.device.type == "cpu" and self.global_step % _TIDYING == 0:
            drop_vanishing(optimizer.optimizer)
        if batch_idx + 1 == n_steps:
            self._check_finite()

    def _learned(self, batch: Batch | Span, scale: float) -> Iterator[tuple[dict[str, Tensor], float]]:
        """Take the gradient of a batch's objective; its terms and their weights, piece by piece."""
        if self.stacks:
            whole = torch.cuda.get_device_properties(self.device).total_memory if self.device.type == "cuda" else 2**30
            yield from learn(self.pieces(batch), scale, self.manual_backward, whole / 8)
            return
        turns.pass_on()
        for piece in self.pieces(batch):
            losses = piece.computed()
            if (objective := torch.stack(list(losses.values())).sum()).requires_grad:
                self.manual_backward(objective * (piece.weight * scale))
            yield losses, piece.weight

    @property
    def stacks(self) -> bool:
        """Whether networks side by side are one computation: on a GPU of one process (`cmc.methods.pieces`)."""
        scaled = getattr(self.trainer.precision_plugin, "scaler", None) is not None
        return self.device.type == "cuda" and distributed.world_size() == 1 and not self._compile and not scaled

    def on_train_epoch_end(self) -> None:
        """Log the epoch's record, once; step the schedule; settle after the last epoch, be it scheduled or not."""
        if self.current_epoch + 1 == self.schedule.n_epochs or self.trainer.should_stop:
            with self.evaluating():
                self.settle(self._passes())
        if (scheduler := self.lr_schedulers()) is not None:
            scheduler.step()  # type: ignore[union-attr]
        record = self.record()
        for name, value in record.items():
            if not math.isfinite(value):
                raise self._diverged(f"{name} is {value}")
        self.log_dict(record, logger=False)
        for logger in self.loggers:
            logger.log_metrics({"epoch": self.current_epoch, **record}, step=self.current_epoch)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep the random states and the unfinished means.

        Raises:
            Diverged: a loss, a parameter or what the optimiser remembers is no finite number, and not worth keeping.
        """
        self._check_savable(checkpoint)
        checkpoint["random_state"] = rng.get_state()
        checkpoint["means"] = {**self._means.state_dict(), "notes": self._notes}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take up what `on_save_checkpoint` kept.

        Raises:
            UserError: the checkpoint is of other networks.
        """
        if strange := set(checkpoint["state_dict"]) ^ set(self.state_dict()):
            raise UserError(
                f"resume: the checkpoint is of another version of {type(self).__name__} ({min(strange)} is in one of "
                "them alone): go on with the version of CMC that wrote it, or train anew"
            )
        self._random_state = checkpoint["random_state"]
        self._means = LossMeter.from_state_dict(checkpoint["means"], self.trainer.is_global_zero)
        self._notes = checkpoint["means"]["notes"]

    def _load_from_state_dict(self, state_dict: Mapping[str, Any], prefix: str, *args: Any) -> None:
        """Let buffers whose size is known only from the data (pseudo labels) take the checkpoint's shape."""
        for name, buffer in self.named_buffers(recurse=False):
            saved = state_dict.get(prefix + name)
            if saved is not None and saved.shape != buffer.shape:
                setattr(self, name, torch.empty_like(saved, device=buffer.device))
        super()._load_from_state_dict(state_dict, prefix, *args)

    def _passes(self) -> InOrder:
        data: DataModule = self.trainer.datamodule  # type: ignore[attr-defined]  # which Lightning's Trainer has
        return data.pass_over()

    def _check_finite(self) -> None:
        """Stop a run whose numbers are none: one read from the device, the same on every process."""
        length = self._means.read(norm(self.parameters()))
        self._check_losses()
        if not math.isfinite(length) and (found := not_finite(self.named_parameters())):
            raise self._diverged(f"the parameters {found[0]} hold {found[1]}", ", though every loss was finite")

    def _check_losses(self) -> None:
        for name, value in self._means.means().items():
            if not math.isfinite(value):
                bad = self._means.first_bad_step()
                raise self._diverged(f"{name} is {value}", "" if bad is None else f", step {bad + 1}")

    def _check_savable(self, checkpoint: Mapping[str, Any]) -> None:
        self._check_losses()
        if found := not_finite(self.named_parameters()):
            raise self._diverged(f"the parameters {found[0]} hold {found[1]}")
        if found := not_finite(optimizer_numbers(checkpoint.get("optimizer_states", ()))):
            raise self._diverged(f"the optimiser's {found[0]} holds {found[1]}: gradients are beyond float32")

    def _diverged(self, what: str, where: str = "") -> Diverged:
        phase, epoch = self.schedule.at(self.current_epoch)
        return Diverged(
            f"training: {what} in {phase.name}, epoch {min(epoch + 1, phase.epochs)} of {phase.epochs}{where}"
        )
