"""Samples that lack modalities, in training and in assignments: what a method's author works with.

Networks see the rows that are there and no others, so that batch norm is of present rows. A term counts the samples
that have what it needs: one of a modality those that have it, one of a pair of modalities those that have both. It is
their mean, times their number in the batch by the number that a batch of its size has on average. So terms keep the
weights that they have in complete data, and yet a batch with few pairs counts little, and one without any nothing. All
of this is the same on any number of processes: what the whole batch has is known on each of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import combinations
from math import prod
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from cmc.data.loader import Batch
from cmc.errors import UserError
from cmc.functional.present import average

if TYPE_CHECKING:
    from cmc.methods.base import Method


class Gaps:
    """Which rows of a batch are there.

    Args:
        batch: one whose ``present`` is not None.

    Attributes:
        total: samples of the whole batch, over all processes.
    """

    def __init__(self, batch: Batch) -> None:
        present, presence = batch.present, batch.presence
        assert present is not None
        assert presence is not None
        self._size, self.total = batch.size, batch.total
        self._rates = None if batch.rates is None else batch.rates.tolist()
        self._columns = present.T
        self._rows: list[Tensor] = [column.nonzero().flatten() for column in self._columns]
        self._counts, self._before = _together(presence), _together(presence[: batch.offset])

    def rows(self, modality: int) -> Tensor:
        """The positions in the batch of the samples that have a modality, ascending."""
        return self._rows[modality]

    def there(self, tensors: Iterable[Tensor]) -> list[Tensor]:
        """Of each modality, B x ..., the rows of the samples that have it."""
        return [x[rows] for x, rows in zip(tensors, self._rows, strict=True)]

    def count(self, a: int, b: int | None = None) -> int:
        """How many samples of the whole batch have a modality, or both of two."""
        return self._counts[a][a if b is None else b]

    def before(self, a: int, b: int) -> int:
        """How many samples of the whole batch that have both come before those of this process."""
        return self._before[a][b]

    def weight(self, a: int, b: int | None = None) -> float:
        """What a term of `count` samples weighs: their number by that which a batch of this size has on average."""
        return self.count(a, b) / (self.total * self._rate(a, b))

    def size(self, a: int, b: int | None = None) -> float:
        """What a sum over samples of this process is divided by, where in complete data it is B."""
        return self._size * self._rate(a, b)

    def _rate(self, a: int, b: int | None = None) -> float:
        return 1.0 if self._rates is None else self._rates[a][a if b is None else b]

    def pairs(self) -> list[tuple[int, int]]:
        """The pairs of modalities a < b that a sample of the whole batch has both of: the same on every process."""
        return [(a, b) for a, b in combinations(range(len(self._rows)), 2) if self.count(a, b)]

    def both(self, a: int, b: int, x: Sequence[Tensor] | Mapping[int, Tensor]) -> tuple[Tensor, Tensor]:
        """Of two modalities' rows, as `there` gives them, those of the samples that have both."""
        return x[a][self._columns[b][self._rows[a]]], x[b][self._columns[a][self._rows[b]]]

    def mean(self, modality: int, loss: Callable[..., Tensor], found: Tensor, target: Tensor) -> Tensor:
        """A loss of the rows of a modality that are there.

        Args:
            modality: which.
            loss: takes ``reduction="sum"``, as those of `torch.nn.functional` do.
            found: n x ...
            target: n x ...; the mean is over its further dimensions, too.
        """
        summed: Tensor = loss(found, target, reduction="sum")
        return summed / (self.size(modality) * prod(target.shape[1:]))


def gaps_of(batch: Batch) -> Gaps | None:
    """Which rows of a batch are there; None where all samples of the data have all modalities."""
    return None if batch.presence is None else Gaps(batch)


def there(batch: Batch, gaps: Gaps | None) -> Sequence[Tensor]:
    """Of each modality the rows of the samples that have it."""
    return batch.modalities if gaps is None else gaps.there(batch.modalities)


def total(terms: Sequence[Tensor], like: Tensor) -> Tensor:
    """The sum of terms, a scalar; 0 of none, of the dtype and on the device of ``like``."""
    return torch.stack(list(terms)).sum() if terms else like.new_zeros(())


def assign_present(method: Method, batch: Batch) -> tuple[Tensor, Tensor | None]:
    """Assignment probabilities of samples that may lack modalities, B x K, and those of each modality, M x B x K.

    Args:
        method: in evaluation mode.
        batch: every sample has a modality.

    Returns:
        Of a sample with all of the method's ``inputs`` what ``assign`` says, of another what ``assign_partly`` does, or
        the mean of ``assign_each`` over the modalities that are there; and ``assign_each``, None where a method has
        none.

    Raises:
        UserError: one of ``inputs`` is missing, and the method has no assignments of each modality.
    """
    present = batch.present
    if present is None or (whole := has_inputs(method, present)).all():
        return method.assignments(batch)
    each, partly = method.assign_each(batch), method.assign_partly(batch, present.T)
    if partly is None and each is None:
        if not method.takes_gaps:
            raise lacks_input(method, int(batch.index[~whole.cpu()][0]))
        return method.assign(batch), None
    if partly is None:
        assert each is not None
        partly = average(each, present)
    return torch.where(whole[:, None], method.assign(batch), partly), each


def has_inputs(method: Method, present: Tensor) -> Tensor:
    """Of B x M, true where a sample has a modality: B, true where it has all of the method's ``inputs``."""
    return present[:, [method.modalities.index(name) for name in method.inputs]].all(1)


def lacks_input(method: Method, row: int) -> UserError:
    """What to say of a sample that a method cannot assign."""
    read, gap = f"all modalities together ({', '.join(method.inputs)})", "one of them"
    if len(method.inputs) == 1:
        read, gap = f"{method.inputs[0]} alone", "it"
    return UserError(f"{type(method).__name__} assigns from {read}; row {row} lacks {gap}: give data where none does")


def _together(presence: Tensor) -> list[list[int]]:
    """M x M, how many samples have both modalities."""
    counts = presence.long()
    found: list[list[int]] = (counts.T @ counts).tolist()
    return found
