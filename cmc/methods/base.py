"""What a method is: the class that its author reads, and overrides.

A method is a subclass with ``losses(batch) -> {"term": scalar}`` and ``assign(batch) -> B x K``; it may bring
``refresh`` (a pass over all samples before an epoch) and ``embed``. Its phases come from its yaml. State that a phase
needs lives in buffers: a checkpoint taken anywhere then resumes bit for bit. docs/adding-a-method.md makes one step by
step; the loop that trains it is `cmc.methods.loop.TrainingLoop`.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from cmc.data.loader import Batch, InOrder, Span
from cmc.data.module import DataModule
from cmc.errors import UserError
from cmc.methods.loop import TrainingLoop
from cmc.methods.phases import Schedule
from cmc.methods.pieces import Piece


class Method(TrainingLoop):
    """A clustering method: its losses, its assignments, and what it keeps between epochs.

    Args:
        dims: modality -> width, at least two.
        n_clusters: K.
        phases: see `cmc.methods.phases.Schedule`.
        optimizer: a function of the parameters (``_partial_`` in yaml); None where nothing is trained by gradients.
        batch_size: the global batch, a number or ``"full"``; a phase may have its own.
        drop_last: leave the incomplete last batch of an epoch out.
        scheduler: a function of the optimiser, stepped once an epoch; None keeps the learning rate.
        gradient_clip: a bound on the norm of the gradient (of each network side by side); None leaves it as it is.
        compile: train through ``torch.compile``: begins a minute later, then runs faster (docs/speed.md).

    Attributes:
        warmup: phases in which the assignment head is not trained yet; no scores are computed in them.
        chunkable: phases whose losses are means over samples, so that a batch may be processed chunk by chunk.
        comparing: phases that leave out the samples which `accept` had set aside (`DataModule.set_aside`).
        compilable: names of the functions that ``compile`` is about; they use no state that changes with the epoch.
        takes_gaps: whether the method trains on samples that lack modalities: its losses, and what it gathers in passes
            over all samples, look at ``batch.present``. Other methods are refused such data. See `cmc.methods.gaps`.
        variant: what tables add to the method's name in parentheses; empty for nothing.
        modalities: their names.
        inputs: the modalities that `assign` and `embed` read: all of them, unless a method is set to one.
        n_clusters: K.
        phase: that which the present epoch belongs to.

    Raises:
        UserError: fewer than two modalities; a setting that cannot be.
    """

    warmup: ClassVar[frozenset[str]] = frozenset()
    chunkable: ClassVar[frozenset[str]] = frozenset()
    comparing: ClassVar[frozenset[str]] = frozenset()
    compilable: ClassVar[tuple[str, ...]] = ()
    takes_gaps: ClassVar[bool] = False
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
        super().__init__(Schedule(phases, batch_size), optimizer, drop_last, scheduler, gradient_clip, compile)
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
        `cmc.distributed` sums and gathers. The loop weighs it by this process's share of the batch.
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

    def unseen(self) -> Tensor | None:
        """How modalities agree on samples that were set aside, when training had not seen them; None if none were.

        M x M x K x K, int64: samples in every pair of two modalities' clusters (`cmc.functional.agreement`).
        """
        return None

    def assignments(self, batch: Batch) -> tuple[Tensor, Tensor | None]:
        """`assign` and `assign_each` of a batch; a method that has both from one pass makes them here."""
        return self.assign(batch), self.assign_each(batch)

    def assign_partly(self, batch: Batch, present: Tensor) -> Tensor | None:
        """Assignments of samples of which some lack modalities, B x K; None: the mean of `assign_each` over the others.

        Args:
            batch: finite numbers stand in the place of what is not there.
            present: M x B, true where a sample has a modality; every sample has one.
        """
        return None

    def embed(self, batch: Batch) -> Tensor:
        """The common representation of the samples, B x D; the assignments where a method has no other."""
        return self.assign(batch)

    def refresh(self, phase: str, epoch: int, batches: InOrder) -> None:
        """Called before epoch ``epoch`` (from 0) of a phase, in evaluation mode, with passes over all samples."""

    def settle(self, batches: InOrder) -> None:
        """Called before assignments are read: at evaluations, and at the end of the last epoch, as `refresh` is.

        The place to decide what all samples must be seen for; the decision lives in buffers.
        """

    def pieces(self, batch: Batch | Span) -> Iterator[Piece]:
        """The objective as a weighted sum whose gradients are taken one piece after the other, to spare memory.

        By default the pieces are the chunks that the phase asks for.
        """
        for chunk in batch.chunks(self.phase.chunk_size):
            place = (type(self), self.phase.name, chunk.total, chunk.offset)
            alike = place if chunk.presence is None else None
            given = (chunk.modalities, chunk.index)
            yield Piece(partial(_losses, chunk), self, given, chunk.size / batch.size, alike)

    def admit(self, data: DataModule) -> None:
        """Refuse data whose samples lack modalities where the method cannot train on them; then `accept`.

        Raises:
            UserError: what is wrong with these data for this method.
        """
        if data.samples.present is not None and not self.takes_gaps:
            n = int((~data.samples.present.all(1)).sum())
            raise UserError(
                f"data.incomplete: use given, and {n} of {data.n_samples} samples lack a modality, but "
                f"{type(self).__name__} trains on samples that have all; give drop"
            )
        self.accept(data)

    @property
    def is_assigning(self) -> bool:
        """Whether the assignment head is trained in the present phase."""
        return self.phase.name not in self.warmup


def _losses(batch: Batch, method: Method, rows: Sequence[Tensor], index: Tensor) -> dict[str, Tensor]:
    """Of a method, for other rows of a batch in its place."""
    return method.losses(batch._replace(modalities=tuple(rows), index=index))


def sum_of(terms: Iterable[Tensor]) -> Tensor:
    """The sum of scalars, a scalar."""
    return torch.stack(list(terms)).sum()
