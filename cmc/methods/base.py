"""The one LightningModule that owns the loop; a method brings its losses and its assignments.

A method is a subclass with ``losses(batch) -> {"term": scalar}`` and ``assign(batch) -> B x K``; it may bring
``refresh`` (a pass over all samples before an epoch) and ``embed``. Its phases come from its yaml. State that a phase
needs lives in buffers: a checkpoint taken anywhere then resumes bit for bit.
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
from cmc.data.loader import Batch, InOrder, Span
from cmc.data.module import DataModule
from cmc.distributed.strategy import Processes
from cmc.errors import Diverged, UserError
from cmc.methods.gradients import clip, drop_vanishing, norm, not_finite, optimizer_numbers
from cmc.methods.loss_meter import LossMeter
from cmc.methods.phases import Phase, Schedule
from cmc.utils import rng, validate

_TIDYING = 100  # steps; 0.9 ** 100 * 1e-32 is no denormal number yet


class Method(LightningModule, ABC):
    """A clustering method: phases, a training step over batches or chunks, means of loss terms per epoch.

    Args:
        dims: modality -> width, at least two.
        n_clusters: K.
        phases: see `cmc.methods.phases.Schedule`.
        optimizer: a function of the parameters (``_partial_`` in yaml); None where nothing is trained by gradients.
        batch_size: the global batch, a number or ``"full"``; a phase may have its own.
        drop_last: leave the incomplete last batch of an epoch out.
        scheduler: a function of the optimiser, stepped once an epoch; None keeps the learning rate.
        gradient_clip: a bound on the norm of the gradient of all parameters together; None leaves it as it is.
        compile: train through ``torch.compile``: begins a minute later, then runs faster (docs/speed.md).

    Attributes:
        warmup: phases in which the assignment head is not trained yet; no scores are computed in them.
        compilable: names of the functions that ``compile`` is about; they use no state that changes with the epoch.
        chunkable: phases whose losses are means over samples, so that a batch may be processed chunk by chunk.
        variant: what tables add to the method's name in parentheses; empty for nothing.
        inputs: the modalities that `assign` and `embed` read: all of them, unless a method is set to one.
    """

    warmup: ClassVar[frozenset[str]] = frozenset()
    chunkable: ClassVar[frozenset[str]] = frozenset()
    compilable: ClassVar[tuple[str, ...]] = ()
    variant: str = ""

    def __init__(
        self,
        dims: Mapping[str, int],
        n_clusters: int,
        phases: Mapping[str, Mapping[str, Any]],
        optimizer: Callable[[Iterable[Tensor]], Optimizer] | None,
        batch_size: int | str = "full",
        drop_last: bool = False,
        scheduler: Callable[[Optimizer], LRScheduler] | None = None,
        gradient_clip: float | None = None,
        compile: bool = False,
    ) -> None:
        super().__init__()
        validate.number("method.gradient_clip", gradient_clip, above=0, or_null=True)
        what = "null, or a mapping with the _target_ of a schedule and _partial_: true"
        validate.require("method.scheduler", scheduler, scheduler is None or callable(scheduler), what)
        self.schedule = Schedule(phases, batch_size)
        self.automatic_optimization = False
        self.drop_last = drop_last
        self._optimizer, self._scheduler, self._compile = optimizer, scheduler, compile
        if compile and not torch.cuda.is_available() and which(compiler := os.environ.get("CXX", "g++")) is None:
            raise UserError(f"method.compile: true given, but there is no C++ compiler ({compiler}); give false")
        self.gradient_clip = gradient_clip
        self._means = LossMeter()
        self._notes: dict[str, float] = {}
        self._random_state: dict[str, Any] = {}
        for phase in self.schedule.phases:
            if phase.chunk_size is not None and phase.name not in self.chunkable:
                raise UserError(
                    f"method.phases.{phase.name}.chunk_size: {phase.chunk_size} given; the losses of this phase are "
                    "functions of the whole batch, which cannot be processed in chunks: give full"
                )
        if len(dims) < 2:
            raise UserError(f"data: {len(dims)} modality given ({', '.join(dims)}); a method needs at least 2")
        self.modalities = self.inputs = tuple(dims)
        self.n_clusters = n_clusters

    @abstractmethod
    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """The terms of the present phase's objective, as they enter the sum: name -> scalar.

        A term is a mean over the batch's samples, or a function of the whole batch, over all processes, for which
        `cmc.distributed` sums and gathers. The base class weighs it by this process's share of the batch.
        """

    @abstractmethod
    def assign(self, batch: Batch) -> Tensor:
        """Assignment probabilities, B x K."""

    def accept(self, data: DataModule) -> None:
        """Called once the data are read, before anything is written: the place to refuse what the method cannot do.

        Raises:
            UserError: what is wrong with these data for this method.
        """

    def assign_each(self, batch: Batch) -> Tensor | None:
        """Every modality's own assignment, M x B x K, in common cluster numbers; None where a method has none.

        The assignment of a modality is a function of that modality alone.
        """
        return None

    def assignments(self, batch: Batch) -> tuple[Tensor, Tensor | None]:
        """`assign` and `assign_each` of a batch; a method that has both from one pass makes them here."""
        return self.assign(batch), self.assign_each(batch)

    def assign_present(self, batch: Batch, present: Tensor) -> Tensor:
        """Assignment probabilities, B x K, of samples that lack modalities: the mean over those that are there.

        Args:
            batch: finite numbers stand in the place of what is not there; they change nothing.
            present: M x B, true where a sample has a modality; every sample has one.

        Returns:
            Of a sample with all of `inputs` what `assign` says, of another the mean of `assign_each`.

        Raises:
            UserError: one of `inputs` is missing, and the method has no assignments of each modality.
        """
        whole = self.whole(present)
        if whole.all():
            return self.assign(batch)
        each = self.assign_each(batch)
        if each is None:
            raise self._incomplete(int(batch.index[~whole.cpu()][0]))
        mean = each.masked_fill(~present[:, :, None], 0).sum(0) / present.sum(0)[:, None]
        return torch.where(whole[:, None], self.assign(batch), mean)

    def _incomplete(self, row: int) -> UserError:
        read, gap = f"all modalities together ({', '.join(self.inputs)})", "one of them"
        if len(self.inputs) == 1:
            read, gap = f"{self.inputs[0]} alone", "it"
        return UserError(f"{type(self).__name__} assigns from {read}; row {row} lacks {gap}: give data where none does")

    def whole(self, present: Tensor) -> Tensor:
        """Of M x B, true where a sample has a modality: B, true where it has all of `inputs`."""
        return present[[self.modalities.index(name) for name in self.inputs]].all(0)

    def embed(self, batch: Batch) -> Tensor:
        """The common representation of the samples, B x D; the assignments where a method has no other."""
        return self.assign(batch)

    def refresh(self, phase: str, epoch: int, batches: InOrder) -> None:
        """Called before epoch ``epoch`` (from 0) of a phase, in evaluation mode, with passes over all samples."""

    def settle(self, batches: InOrder) -> None:
        """Called before assignments are read: at evaluations, and at the end of the last epoch, as `refresh` is.

        The place to decide what all samples must be seen for; the decision lives in buffers.
        """

    @property
    def phase(self) -> Phase:
        """The phase that the present epoch belongs to."""
        return self.schedule.at(self.current_epoch)[0]

    @property
    def is_trained(self) -> bool:
        """Whether the method is trained by gradients."""
        return self._optimizer is not None

    @property
    def is_assigning(self) -> bool:
        """Whether the assignment head is trained in the present phase."""
        return self.phase.name not in self.warmup

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

    def _passes(self) -> InOrder:
        passes: InOrder = self.trainer.datamodule.pass_over()  # type: ignore[attr-defined]
        return passes

    def training_step(self, batch: Batch | Span, batch_idx: int) -> None:
        """One optimiser step; the gradient is the sum over the pieces of the objective.

        Raises:
            Diverged: at an epoch's last step, a loss term or a parameter is no finite number.
        """
        optimizer = self.optimizers()
        assert not isinstance(optimizer, list)
        optimizer.zero_grad()
        self._means.n_seen += batch.total
        summed = isinstance(self.trainer.strategy, Processes)
        averaged = 1 if summed else distributed.world_size()  # other strategies average gradients over processes
        n_steps = int(self.trainer.num_training_batches)
        for losses, weight in self.pieces(batch):
            objective = self._means.add(losses, weight * batch.size, batch_idx, n_steps)
            self.manual_backward(objective * (weight * batch.share * averaged))
        if summed:
            distributed.sum_gradients(self.parameters())
        if self.gradient_clip is not None:
            clip(self.parameters(), self.gradient_clip, getattr(self.trainer.precision_plugin, "scaler", None))
        optimizer.step()
        if self.device.type == "cpu" and self.global_step % _TIDYING == 0:
            drop_vanishing(optimizer.optimizer)
        if batch_idx + 1 == n_steps:
            self._check_finite()

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

    def _diverged(self, what: str, where: str = "") -> Diverged:
        phase, epoch = self.schedule.at(self.current_epoch)
        return Diverged(
            f"training: {what} in {phase.name}, epoch {min(epoch + 1, phase.epochs)} of {phase.epochs}{where}"
        )

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

    def pieces(self, batch: Batch | Span) -> Iterator[tuple[dict[str, Tensor], float]]:
        """The objective as a weighted sum whose gradients are taken one piece after the other, to spare memory.

        By default the pieces are the chunks that the phase asks for.
        """
        for chunk in batch.chunks(self.phase.chunk_size):
            yield self.losses(chunk), chunk.size / batch.size

    @property
    def n_seen(self) -> int:
        """Samples that all processes have trained on in the present epoch."""
        return self._means.n_seen

    def record(self) -> dict[str, float]:
        """The epoch so far: ``loss``, the mean of each term over the samples seen, and what was noted."""
        means = self._means.means()
        return {"loss": sum(means.values()), **means, **self._notes}

    def on_train_epoch_end(self) -> None:
        """Log the epoch's record, once; step the schedule; settle after the last epoch."""
        if self.current_epoch + 1 == self.schedule.n_epochs:
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

    def _check_savable(self, checkpoint: Mapping[str, Any]) -> None:
        self._check_losses()
        if found := not_finite(self.named_parameters()):
            raise self._diverged(f"the parameters {found[0]} hold {found[1]}")
        if found := not_finite(optimizer_numbers(checkpoint.get("optimizer_states", ()))):
            raise self._diverged(f"the optimiser's {found[0]} holds {found[1]}: gradients are beyond float32")

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
        self._means.load_state_dict(checkpoint["means"], self.trainer.is_global_zero)
        self._notes = checkpoint["means"]["notes"]

    def _load_from_state_dict(self, state_dict: Mapping[str, Any], prefix: str, *args: Any) -> None:
        """Let buffers whose size is known only from the data (pseudo labels) take the checkpoint's shape."""
        for name, buffer in self.named_buffers(recurse=False):
            saved = state_dict.get(prefix + name)
            if saved is not None and saved.shape != buffer.shape:
                setattr(self, name, torch.empty_like(saved, device=buffer.device))
        super()._load_from_state_dict(state_dict, prefix, *args)


def sum_of(terms: Iterable[Tensor]) -> Tensor:
    """The sum of scalars, a scalar."""
    return torch.stack(list(terms)).sum()
