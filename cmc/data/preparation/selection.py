"""A clustering subset of a data set whose samples carry several concepts."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cmc.data.preparation.distribution import Distribution, Rows
from cmc.errors import UserError


@dataclass(frozen=True)
class Selection:
    """Which samples are taken, and their classes.

    Attributes:
        rows: positions, ascending.
        labels: a class a sample; None where samples carry several concepts or none.
        classes: names.
        rule: how they were chosen, for the records.
    """

    rows: Rows
    labels: NDArray[np.int64] | None
    classes: tuple[str, ...]
    rule: dict[str, object]


def select(
    source: Distribution,
    concepts: int | Sequence[str],
    per_class: int | Sequence[int] | None,
    subset: str = "exclusive",
    seed: int = 0,
) -> Selection:
    """Keep the samples that carry exactly one of the chosen concepts, then at most ``per_class`` of each.

    The papers' rule is unpublished; this one is stated with every result.

    Args:
        source: with labels.
        concepts: the names of the chosen concepts, or how many: the most frequent ones are then taken.
        per_class: how many of each class are drawn at most, one number or one a class in the order of the classes;
            None for all.
        subset: ``exclusive``, or ``full`` for all usable samples, which have no single label then.
        seed: of the draw.

    Raises:
        UserError: an unknown concept, too many of them, or a class without a sample.
    """
    usable = np.ones(len(source.names), bool)
    usable[list(source.unusable)] = False
    if subset == "full":
        return Selection(np.flatnonzero(usable), None, (), {"subset": "full"})
    if source.labels is None:
        raise UserError(f"{source.form}: no labels are there to choose a subset by; give data.subset=full")
    chosen = _chosen(source, concepts)
    carried = source.labels[:, chosen] & usable[:, None]
    single = carried.sum(1) == 1
    sizes = _sizes(per_class, len(chosen))
    rng = np.random.default_rng(seed)
    labels = np.full(len(source.names), -1)
    available = []
    for k, (column, size) in enumerate(zip(chosen, sizes, strict=True)):
        candidates = np.flatnonzero(single & carried[:, k])
        if not len(candidates):
            raise UserError(
                f"data.concepts: no sample carries {source.concepts[column]!r} and none of the others; choose another"
            )
        available.append(len(candidates))
        kept = candidates if size is None else rng.permutation(candidates)[:size]
        labels[kept] = k
    rows = np.flatnonzero(labels >= 0)
    classes = tuple(source.concepts[column] for column in chosen)
    rule: dict[str, object] = {
        "subset": "samples that carry exactly one of the chosen concepts, at most per_class of each, drawn by the seed",
        "concepts": list(classes),
        "available": available,
        "per_class": sizes,
        "seed": seed,
    }
    return Selection(rows, labels[rows], classes, rule)


def _chosen(source: Distribution, concepts: int | Sequence[str]) -> list[int]:
    assert source.labels is not None
    if isinstance(concepts, int):
        counts = source.labels[:, : source.n_common].sum(0)
        if not 2 <= concepts <= len(counts):
            raise UserError(f"data.concepts: {concepts} given; there are {len(counts)}, and 2 are needed")
        return [int(column) for column in np.argsort(-counts, kind="stable")[:concepts]]
    position = {name: column for column, name in enumerate(source.concepts)}
    for name in concepts:
        if name not in position:
            close = difflib.get_close_matches(name, position, n=1)
            hint = f"; did you mean {close[0]}?" if close else f"; there are {', '.join(source.concepts[:100])}"
            raise UserError(f"data.concepts: no concept {name!r}{hint}")
    if len(set(concepts)) < max(2, len(concepts)):
        raise UserError(f"data.concepts: {list(concepts)} given; name at least 2, each once")
    return [position[name] for name in concepts]


def _sizes(per_class: int | Sequence[int] | None, n: int) -> list[int | None]:
    if per_class is None or isinstance(per_class, int):
        return [per_class] * n
    if len(per_class) != n:
        raise UserError(
            f"data.per_class: {len(per_class)} numbers for {n} concepts; give one for each, one for all, or null"
        )
    return list(per_class)
