"""Batches cut where the tensors lie: no worker processes, no per-sample objects, no copies of a full batch.

``Batches`` cuts a source (`cmc.data.sources`) into shuffled, rank-sharded global batches.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor

from cmc import distributed
from cmc.errors import UserError
from cmc.utils.arrays import spaced


class Batch(NamedTuple):
    """Some samples, in every modality.

    Attributes:
        modalities: one B x d_m float tensor a modality, in the order of the data's names.
        index: B positions among all samples (int64); labels are joined by it, at evaluation alone.
        global_size: samples of the whole batch, of which these are a part; None where these are all.
        offset: the position of the first of them in the whole batch.
        presence: of all samples of the whole batch, whether they have a modality (total x M, bool, on the CPU); None
            where all samples of the data have all. Rows that are not there are 0.
        rates: M x M (double precision, on the CPU): of all samples that are trained on, the share that have both of two
            modalities; None where they are not trained on, or have all.
    """

    modalities: tuple[Tensor, ...]
    index: Tensor  # type: ignore[assignment]  # a tuple has a method of this name; nobody searches a batch
    global_size: int | None = None
    offset: int = 0
    presence: Tensor | None = None
    rates: Tensor | None = None

    @property
    def present(self) -> Tensor | None:
        """B x M, whether a sample has a modality; None where all samples of the data have all."""
        if self.presence is None:
            return None
        return self.presence[self.offset : self.offset + self.size].to(self.modalities[0].device)

    @property
    def size(self) -> int:
        """B."""
        return self.index.shape[0]

    @property
    def total(self) -> int:
        """Samples of the whole batch, over all processes."""
        return self.size if self.global_size is None else self.global_size

    @property
    def share(self) -> float:
        """The part of the whole batch that is here."""
        return self.size / self.total

    def chunks(self, size: int | None) -> Iterator[Batch]:
        """Cut into batches of at most ``size`` samples, in order; None leaves it whole."""
        if size is None or size >= self.size:
            yield self
            return
        for start in range(0, self.size, size):
            part = slice(start, start + size)
            tensors = tuple(x[part] for x in self.modalities)
            yield Batch(tensors, self.index[part], self.total, self.offset + start, self.presence, self.rates)


class Source(Protocol):
    """Rows of all modalities, by position; those that are not there are 0.

    Attributes:
        n_samples: N.
        present: N x M, whether a sample has a modality (bool, on the CPU); None where all have all.
    """

    n_samples: int
    present: Tensor | None

    def take(self, index: Tensor) -> tuple[Tensor, ...]:
        """The rows at the given positions (int64, on the CPU)."""

    def span(self, start: int, stop: int) -> tuple[Tensor, ...]:
        """The rows start..stop-1."""


class Span(NamedTuple):
    """A batch of consecutive rows that are read chunk by chunk; else as `Batch`.

    Attributes:
        source: where the rows lie.
        start: the first of them.
        stop: the one after the last.
        total: samples of the whole batch, of which these are a part.
        offset: the position of the first of them in the whole batch.
        rates: as of `Batch`.
    """

    source: Source
    start: int
    stop: int
    total: int
    offset: int
    rates: Tensor | None = None

    @property
    def size(self) -> int:
        """B."""
        return self.stop - self.start

    @property
    def share(self) -> float:
        """The part of the whole batch that is here."""
        return self.size / self.total

    def chunks(self, size: int | None) -> Iterator[Batch]:
        """Read batches of at most ``size`` samples, in order; None reads all at once."""
        step = size or self.size
        for first in range(self.start, self.stop, step):
            last = min(first + step, self.stop)
            rows = self.source.span(first, last)
            begin = self.start - self.offset
            presence = None if self.source.present is None else self.source.present[begin : begin + self.total]
            place = (self.total, self.offset + first - self.start)
            yield Batch(rows, torch.arange(first, last), *place, presence, self.rates)


class InOrder:
    """Every sample once, in order, ``size`` at a time, as often as it is iterated over.

    Of each batch this process takes its share: gathered, the shares are the batch again. A share may be empty.

    Attributes:
        n_samples: N.
        present: N x M, whether a sample has a modality (bool, on the CPU); None where all have all.
    """

    def __init__(self, source: Source, size: int) -> None:
        self._source, self._size = source, size
        self.n_samples, self.present = source.n_samples, source.present

    def spaced(self, at_most: int) -> Batch:
        """At most so many samples, evenly spaced, the same ones on every process."""
        index = torch.from_numpy(spaced(self.n_samples, at_most))
        presence = None if self.present is None else self.present[index]
        return Batch(self._source.take(index), index, presence=presence)

    def whole(self) -> Batch:
        """This process's share of all samples at once."""
        first, last = distributed.shard(0, n := self.n_samples)
        return Batch(self._source.span(first, last), torch.arange(first, last), n, first, self.present)

    def __iter__(self) -> Iterator[Batch]:
        """One pass."""
        n = self.n_samples
        for start in range(0, n, self._size):
            first, last = distributed.shard(start, stop := min(start + self._size, n))
            presence = None if self.present is None else self.present[start:stop]
            yield Batch(
                self._source.span(first, last), torch.arange(first, last), stop - start, first - start, presence
            )


class Batches:
    """One epoch of shuffled batches.

    The order depends on (seed, epoch) alone, so that every process and every resumed run cuts the same global
    batches; of each, this process takes its share (`cmc.distributed.shard`). A batch of all samples is not
    shuffled: its tensors are handed on as they lie, or as a `Span`. The position is part of a checkpoint
    (``state_dict``), so that a run continues in mid-epoch.

    Args:
        source: where the rows come from.
        batch_size: of the global batch; above the number of samples it becomes that number.
        drop_last: leave an incomplete last batch out.
        seed: of the order.
        epoch: of the order.
        chunked: whether a batch of all samples is processed in chunks: it then comes as a `Span`.
        among: positions of the samples that there are, int64; None for all of the source.

    Raises:
        UserError: a batch, or the incomplete last one, has fewer samples than there are processes.
    """

    def __init__(
        self,
        source: Source,
        batch_size: int,
        *,
        drop_last: bool = False,
        seed: int = 0,
        epoch: int = 0,
        chunked: bool = False,
        among: Tensor | None = None,
    ) -> None:
        self._source, self._among, self._chunked = source, among, chunked
        self._n = source.n_samples if among is None else len(among)
        self._size = min(batch_size, self._n)
        self._drop_last, self._seed, self._epoch = drop_last, seed, epoch
        self._rates = (
            None if source.present is None else _rates(source.present if among is None else source.present[among])
        )
        self._position = 0
        last = self._n - (len(self) - 1) * self._size
        if min(self._size, last) < distributed.world_size():
            raise UserError(
                f"method.batch_size: {batch_size} given; a batch of {min(self._size, last)} samples cannot be shared "
                f"by {distributed.world_size()} processes: give another size, or method.drop_last=true"
            )

    def __len__(self) -> int:
        """Batches an epoch."""
        return self._n // self._size if self._drop_last else -(-self._n // self._size)

    def __iter__(self) -> Iterator[Batch | Span]:
        """Yield this process's share of each global batch, from the position on."""
        n, order = self._n, self._order()
        for number in range(self._position, len(self)):
            self._position = number + 1
            begin, end = number * self._size, min((number + 1) * self._size, n)
            start, stop = distributed.shard(begin, end)
            place = (end - begin, start - begin)
            if order is None and self._chunked:
                yield Span(self._source, start, stop, *place, self._rates)
            elif order is None:
                rows = self._source.span(start, stop)
                yield Batch(rows, torch.arange(start, stop), *place, self._presence(slice(begin, end)), self._rates)
            else:
                index = order[start:stop].long()
                presence = self._presence(order[begin:end].long())
                yield Batch(self._source.take(index), index, *place, presence, self._rates)
        self._position = 0

    def _presence(self, taken: Tensor | slice) -> Tensor | None:
        """Of the samples of a global batch."""
        return None if self._source.present is None else self._source.present[taken]

    def _order(self) -> Tensor | None:
        if self._size == self._n:
            return self._among
        order = np.arange(self._n, dtype=np.int32 if self._n < 2**31 else np.int64)  # the same order in either
        np.random.default_rng([self._seed, self._epoch]).shuffle(order)
        shuffled = torch.from_numpy(order)
        return shuffled if self._among is None else self._among[shuffled.long()]

    def state_dict(self) -> dict[str, Any]:
        """The number of the next batch."""
        return {"position": self._position}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from the batch that ``state_dict`` named."""
        self._position = int(state["position"])


def _rates(present: Tensor) -> Tensor:
    """Of N x M, the share of samples that have both of two modalities, M x M."""
    there = present.double()
    return there.T @ there / len(there)
