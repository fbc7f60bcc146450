"""What the baselines share: scikit-learn fits all samples at once, in the protocol and run folder of the methods."""

from __future__ import annotations

import logging
import warnings
from abc import abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from cmc import distributed
from cmc.data.loader import Batch, InOrder, Span
from cmc.data.module import DataModule
from cmc.errors import UserError
from cmc.functional.threads import one_thread
from cmc.methods.base import Method
from cmc.methods.gaps import has_inputs, lacks_input
from cmc.utils import validate
from cmc.utils.memory import free_memory

log = logging.getLogger(__name__)


class Baseline(Method):
    """A clustering that is fitted at once: one phase, ``fit``, of one epoch, and nothing to train by gradients.

    The first process fits all samples, on one thread, so that the same seed gives the same assignments bit for bit on
    any number of processes; what it finds lives in buffers. ``loss`` in the history is the objective that it reached.
    Tables name a run on one modality so: ``kmeans (left)``.

    Where samples lack modalities, the means of the features that are there stand in their place, the same ones for
    samples that are assigned later; tables name such a run ``kmeans (mean-filled)``. Fitted on samples that lack none,
    a baseline assigns no others.

    Args:
        dims: modality -> width.
        n_clusters: K.
        phases: ``fit``, of one epoch.
        input: what is clustered: the ``concatenation`` of all modalities' scaled features, or one modality, by name.

    Raises:
        UserError: other phases; an input that is no modality.
    """

    way_out = ""  # where `memory` is short
    takes_gaps = True
    reached: Tensor
    fills: Tensor

    def __init__(
        self,
        dims: Mapping[str, int],
        n_clusters: int,
        phases: Mapping[str, Mapping[str, Any]],
        input: str = "concatenation",
    ) -> None:
        super().__init__(dims, n_clusters, phases, optimizer=None)
        if [(phase.name, phase.epochs) for phase in self.schedule.phases] != [("fit", 1)]:
            raise UserError("method.phases: a baseline has one phase, fit, of 1 epoch; leave method.phases as it is")
        validate.one_of("method.input", input, ("concatenation", *dims))
        self.modality = None if input == "concatenation" else self.modalities.index(input)
        self.variant = "" if self.modality is None else input
        self.inputs = self.modalities if self.modality is None else (input,)
        self.width = sum(dims.values()) if self.modality is None else dims[input]
        self.register_buffer("reached", torch.zeros((), dtype=torch.float64))
        self.register_buffer("fills", torch.empty(0))  # none: no sample lacked any

    @abstractmethod
    def fit(self, x: Tensor) -> float:
        """Cluster the N x D samples ``x``, on the first process: fill the buffers, return the objective reached."""

    def resize(self, n_samples: int) -> None:
        """Called before `fit`, on every process: the place to make buffers whose size depends on N."""

    def memory(self, n_samples: int) -> float:
        """Bytes that `fit` takes for N samples, where these grow faster than N."""
        return 0.0

    def accept(self, data: DataModule) -> None:
        """Refuse more samples than there is memory for."""
        needed, free = self.memory(data.n_samples), free_memory()
        if needed > free:
            raise UserError(
                f"method: {type(self).__name__} needs about {needed / 2**30:,.0f} GiB of memory for "
                f"{data.n_samples:,} samples, {free / 2**30:,.0f} GiB are free; {self.way_out}"
            )

    def admit(self, data: DataModule) -> None:
        """Say where features will be filled in."""
        super().admit(data)
        present = data.samples.present
        if present is not None and (n := int((~has_inputs(self, present)).sum())):
            self.variant = f"{self.variant}{', ' * bool(self.variant)}mean-filled"
            said = (type(self).__name__, n, data.n_samples)
            log.warning(
                "method: %s: %d of %d samples lack a modality; the mean of its features is taken for them", *said
            )

    def rows(self, batch: Batch) -> Tensor:
        """What is clustered, B x D."""
        modalities = self.filled(batch)
        return torch.cat(modalities, 1) if self.modality is None else modalities[self.modality]

    def filled(self, batch: Batch) -> tuple[Tensor, ...]:
        """Every modality's rows, with the means of `fit`'s samples where they are not there.

        Raises:
            UserError: a sample lacks an input, as none of `fit`'s did.
        """
        present = batch.present
        if present is None:
            return batch.modalities
        if not len(self.fills):
            if not (whole := has_inputs(self, present)).all():
                raise lacks_input(self, int(batch.index[~whole.cpu()][0]))
            return batch.modalities
        fills = torch.split(self.fills, [x.shape[1] for x in batch.modalities])
        columns = present.T.unsqueeze(2)
        return tuple(
            torch.where(there, x, fill.to(x)) for there, x, fill in zip(columns, batch.modalities, fills, strict=True)
        )

    def _averages(self, batches: InOrder) -> Tensor:
        """Of the features of all samples that have them."""
        sums, counts = torch.zeros(()), torch.zeros(())
        for batch in batches:
            present = batch.present
            assert present is not None
            sums = sums + torch.cat([x.double().sum(0) for x in batch.modalities])  # rows that are not there are 0
            counts = counts + present.double().sum(0)
        widths = torch.tensor([x.shape[1] for x in batch.modalities], device=counts.device)
        return distributed.all_reduce_sum(sums) / distributed.all_reduce_sum(counts).repeat_interleave(widths)

    def refresh(self, phase: str, epoch: int, batches: InOrder) -> None:
        """Fit all samples."""
        if batches.present is not None:
            self.fills = self._averages(batches).float()
        parts, n_samples = [], 0
        for batch in batches:
            part = distributed.all_gather_rows(self.rows(batch))
            n_samples += len(part)
            if distributed.is_rank_zero():
                parts.append(part.cpu())
        self.resize(n_samples)
        if parts:
            with one_thread(), _warnings_in_the_log():
                self.reached.fill_(self.fit(torch.cat(parts)))
        for name, buffer in self.named_buffers():
            setattr(self, name, distributed.broadcast(buffer))

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """No terms."""
        return {}

    def training_step(self, batch: Batch | Span, batch_idx: int) -> None:
        """Count the samples; `refresh` has fitted them."""
        self._means.n_seen += batch.total

    def record(self) -> dict[str, float]:
        """The objective reached, as ``loss``, and what was noted."""
        return {**super().record(), "loss": self.reached.item()}

    def embed(self, batch: Batch) -> Tensor:
        """What is clustered, B x D."""
        return self.rows(batch)


class Transductive(Baseline):
    """A clustering of the given samples alone: each has its label by its index, and any other is refused.

    A weighted sum over a sample's features tells whether it is the one that was fitted.
    """

    labels: Tensor
    marks: Tensor

    def __init__(self, **shared: Any) -> None:
        super().__init__(**shared)
        self.register_buffer("labels", torch.empty(0, dtype=torch.long))
        self.register_buffer("marks", torch.empty(0, dtype=torch.float64))

    @abstractmethod
    def partition(self, x: np.ndarray) -> tuple[np.ndarray, float]:
        """The N labels of N x D samples, and the objective reached."""

    def accept(self, data: DataModule) -> None:
        """Refuse to hold samples out."""
        super().accept(data)
        if data.held_out is not None:
            raise UserError(
                f"data.holdout: {data.holdout} given; {type(self).__name__} cannot assign samples that it was not "
                "fitted to: give 0, or method=kmeans, cca or gmm"
            )

    def resize(self, n_samples: int) -> None:
        """A label and a mark a sample."""
        self.labels, self.marks = self.labels.new_zeros(n_samples), self.marks.new_zeros(n_samples)

    def fit(self, x: Tensor) -> float:
        """Find the labels."""
        labels, objective = self.partition(x.numpy())
        self.labels.copy_(torch.from_numpy(labels))
        self.marks.copy_(_marks(x))
        return objective

    def assign(self, batch: Batch) -> Tensor:
        """1 for the sample's cluster, B x K.

        Raises:
            UserError: a sample that was not fitted.
        """
        index = batch.index.to(self.labels.device)
        if not (index < len(self.labels)).all() or not torch.allclose(_marks(self.rows(batch)), self.marks[index]):
            raise UserError(
                f"method: {type(self).__name__} cannot assign samples that it was not fitted to: take a run of "
                "kmeans, cca or gmm"
            )
        return F.one_hot(self.labels[index], self.n_clusters).float()


def _marks(x: Tensor) -> Tensor:
    return x.double() @ torch.linspace(1, 2, x.shape[1], dtype=torch.float64, device=x.device)


@contextmanager
def _warnings_in_the_log() -> Iterator[None]:
    """Each of scikit-learn's warnings becomes one line."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield
    for text in dict.fromkeys(" ".join(str(warning.message).split()) for warning in caught):
        log.warning("scikit-learn: %s", text)
