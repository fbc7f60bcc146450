"""The pieces of an objective, whose gradients are taken one after the other, or of many networks at once on a GPU.

On a GPU a step of small networks is launches of kernels: DMIM's candidates, and runs of several seeds in one process
(`cmc.utils.turns`), are stacked there, and each operation is one for all of them (`cmc.nn.stacked`). On a CPU, where
that gains nothing, networks are taken in turn, in the memory of one.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from functools import partial
from itertools import islice
from typing import NamedTuple

import torch
from torch import Tensor, nn

from cmc.nn.stacked import Arguments, shapes, stacked
from cmc.utils import turns

log = logging.getLogger(__name__)
Terms = dict[str, Tensor]
_COPIES = 20  # of what a piece is given: about what its graph holds
_one_by_one: set[Hashable] = set()  # kinds of which one could not be stacked


class Piece(NamedTuple):
    """A part of an objective: terms, of a module and what it is given.

    Attributes:
        terms: a function of both, which gives scalars by name.
        module: whose parameters the terms depend on.
        arguments: tensors, and sequences of tensors.
        weight: of the terms in the objective.
        alike: equal for pieces whose ``terms`` are the same function of module and arguments, and begins with their
            kind; None for what is never computed together with others.
    """

    terms: Callable[..., Terms]
    module: nn.Module
    arguments: tuple[Arguments, ...]
    weight: float
    alike: tuple[Hashable, ...] | None = None

    def computed(self) -> Terms:
        """The terms, of this piece alone."""
        return self.terms(self.module, *self.arguments)


class Step(NamedTuple):
    """What a run learns from in one go.

    Attributes:
        pieces: of its objective.
        scale: of the objective, where its gradient is taken.
    """

    pieces: Sequence[Piece]
    scale: float


def learn(
    pieces: Iterable[Piece], scale: float, backward: Callable[[Tensor], object], memory: float
) -> Iterator[tuple[Terms, float]]:
    """Take the gradient of an objective, of many pieces at once, also of other runs of this process.

    Args:
        pieces: of the objective; all runs of a process have as many.
        scale: of the objective.
        backward: takes the gradient of a scalar.
        memory: bytes that pieces may take together.

    Yields:
        The terms of each piece, without their graph, and its weight.
    """
    pieces = iter(pieces)
    for first in pieces:
        own = _COPIES * sum(shape.numel() * size for shape, size in shapes(first.arguments))
        at_once = max(1, int(memory // (max(own, 1) * turns.count())))
        step = Step([first, *islice(pieces, at_once - 1)], scale)
        found = turns.together(step, partial(_learn_all, backward))
        yield from zip(found, (piece.weight for piece in step.pieces), strict=True)


def _learn_all(backward: Callable[[Tensor], object], steps: Sequence[Step]) -> list[list[Terms]]:
    """The terms of all pieces of all runs, each group of those that are alike computed at once."""
    groups: dict[Hashable, list[tuple[int, int]]] = {}
    for i, step in enumerate(steps):
        for j, piece in enumerate(step.pieces):
            groups.setdefault(_group(piece), []).append((i, j))
    found: list[list[Terms]] = [[{} for _ in step.pieces] for step in steps]
    for group in groups.values():
        members = [steps[i].pieces[j] for i, j in group]
        scales = [steps[i].scale * piece.weight for (i, _), piece in zip(group, members, strict=True)]
        for (i, j), terms in zip(group, _learn_group(members, scales, backward), strict=True):
            found[i][j] = terms
    return found


def _learn_group(
    pieces: Sequence[Piece], scales: Sequence[float], backward: Callable[[Tensor], object]
) -> Iterator[Terms]:
    """The terms of pieces that are alike; those that cannot be stacked are taken one by one."""
    kind = (pieces[0].alike or (None,))[0]
    if len(pieces) > 1 and kind not in _one_by_one:
        try:
            computed = stacked(pieces[0].terms, [p.module for p in pieces], [p.arguments for p in pieces])
        except torch.OutOfMemoryError:
            raise
        except (RuntimeError, NotImplementedError, ValueError) as error:
            _one_by_one.add(kind)
            log.info("networks side by side: taken one by one (%s)", " ".join(str(error).split())[:200])
        else:
            backward(torch.stack([_sum(terms) * scale for terms, scale in zip(computed, scales, strict=True)]).sum())
            yield from map(_detached, computed)
            return
    for piece, scale in zip(pieces, scales, strict=True):
        terms = piece.computed()
        if (objective := _sum(terms)).requires_grad:
            backward(objective * scale)
        yield _detached(terms)


def _group(piece: Piece) -> Hashable:
    if piece.alike is None:
        return object()
    parameters = tuple((name, x.shape) for name, x in piece.module.named_parameters())
    return piece.alike, parameters, tuple(shapes(piece.arguments))


def _sum(terms: Terms) -> Tensor:
    return torch.stack(list(terms.values())).sum()


def _detached(terms: Terms) -> Terms:
    return {name: x.detach() for name, x in terms.items()}
