"""What methods ask of their settings and of the data, and what they say where it is not so."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from cmc.data.module import DataModule
from cmc.errors import UserError
from cmc.methods.base import Method
from cmc.utils import validate


def check_phases(name: str, phases: Mapping[str, Any], known: Sequence[str]) -> None:
    """Refuse a phase that a method does not have.

    Raises:
        UserError: there is one.
    """
    if unknown := [phase for phase in phases if phase not in known]:
        called = f"phases are {', '.join(known)}" if len(known) > 1 else f"one phase is {known[0]}"
        raise UserError(f"method.phases.{unknown[0]}: {name}'s {called}")


def check_widths(hidden: Sequence[int], **sizes: int) -> None:
    """Refuse widths of layers, and other sizes by their keys, that are no whole numbers of at least 1.

    Raises:
        UserError: one of them is none.
    """
    for key, size in {**sizes, **{f"hidden[{i}]": width for i, width in enumerate(hidden)}}.items():
        validate.whole(f"method.{key}", size, least=1)


def check_weights(**weights: float) -> None:
    """Refuse weights of terms, by their keys, below 0.

    Raises:
        UserError: one of them is.
    """
    for key, weight in weights.items():
        validate.number(f"method.{key}", weight, least=0)


def require_samples(method: Method, data: DataModule, least: int, why: str) -> None:
    """Refuse batches of fewer samples than an objective needs, an incomplete last one included.

    Args:
        method: whose schedule it is.
        data: that it is to train on.
        least: samples of a batch.
        why: a clause that says what they are needed for.

    Raises:
        UserError: a batch would have fewer.
    """
    n = data.n_samples
    for phase in method.schedule.phases:
        size = min(phase.batch_size or n, n)
        if not phase.epochs:
            continue
        if size < least:
            more = f"give at least {least}" if n >= least else f"there are but {n} samples: give fewer clusters"
            raise UserError(f"method.batch_size: {size} samples a batch given; {why}: {more}")
        if not method.drop_last and 0 < (left := n % size) < least:
            raise UserError(
                f"method.batch_size: {size} given; of {n} samples that leaves {left} for the last batch, but {why}: "
                "give another size, or method.drop_last=true"
            )


def refuse_negative(data: DataModule, way_out: str) -> None:
    """Refuse features below 0, as they are scaled: networks that end in a ReLU cannot give them.

    Args:
        data: loaded.
        way_out: what to do besides scaling.

    Raises:
        UserError: a modality has some.
    """
    kinds = data.scaler.kinds
    if all(kind == "minmax" for kind in kinds.values()):
        return
    for name, kind in _negative(data, kinds):
        raise UserError(
            f"data.scaling: modality {name!r} has features below 0 (scaling {kind}), which a ReLU at the output cannot "
            f"give: give data.scaling=minmax, or {way_out}"
        )


def _negative(data: DataModule, kinds: Mapping[str, str]) -> Iterable[tuple[str, str]]:
    for batch in data.pass_over():
        for (name, kind), x in zip(kinds.items(), batch.modalities, strict=True):
            if (x < 0).any():
                yield name, kind
