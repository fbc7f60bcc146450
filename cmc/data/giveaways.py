"""Whether features give their samples' labels away: the check that stands behind all readers.

A label among the features makes any method look good. The labels are looked at to warn of that, and for nothing else.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cmc.data.modalities import UNLABELLED
from cmc.utils.arrays import spaced

_LOOKED_AT = 4096  # samples
_GLANCED_AT = 256  # samples, of which most columns show that they tell nothing
_NUMBERS = 2**23  # looked at together
_TIGHT = 0.02  # of the gap between two classes, the most that the values of one may differ
_CHANCE = math.log(1e-6)  # that a column tells by chance
_WIDEST = 1024  # columns of which sums are looked at
_EXACT = 2e-6  # that the square of a correlation of sums of columns with classes may lack of 1
_FLAT = 1e-12  # of the variance of all columns, what counts as none
_NAMED = 4  # columns in a line


def doubts(
    features: Mapping[str, NDArray[Any]], labels: NDArray[Any] | None, present: NDArray[np.bool_] | None = None
) -> list[str]:
    """A line for every modality from which the labels can be read off exactly.

    Looked for are columns whose value tells the class: each value comes in one class alone (codes, whatever they are
    called, and groups within a class), classes lie further apart than any natural feature has them (a code with noise),
    or rows are counted in the order of classes; columns that do so together (one-hot, bits), also by being 0 or not;
    and sums of columns.

    Args:
        features: modality -> N x d.
        labels: N codes, -1 where unknown; None without any, and then there is nothing to give away.
        present: N x M, whether a sample has a modality; None where all have all.
    """
    if labels is None:
        return []
    known = labels != UNLABELLED
    lines = []
    for m, (name, array) in enumerate(features.items()):
        there = np.ones(len(known), bool) if present is None else present[:, m]
        seen = np.flatnonzero(known & there)
        rows = seen[spaced(len(seen), _LOOKED_AT)]
        codes = np.unique(labels[rows], return_inverse=True)[1]
        n_classes = int(codes.max(initial=0)) + 1
        if n_classes < 2 or len(rows) < 2 * n_classes:
            continue
        order = np.argsort(codes, kind="stable")
        if found := _found(array, rows[order], codes[order], n_classes, there):
            line = (
                f"{name}: {found}: is it a label, or the order of rows, among the features? Scores would mean nothing"
            )
            lines.append(line)
    return lines


def _found(
    array: NDArray[Any], rows: NDArray[np.intp], codes: NDArray[np.intp], n_classes: int, there: NDArray[np.bool_]
) -> str:
    """What gives the labels away; samples come class by class. ``there``: N, which rows are numbers."""
    alone: list[int] = []
    together: dict[int, tuple[int, ...]] = {}  # column -> a code for each class
    chance = _CHANCE - math.log(array.shape[1])
    step = max(1, _NUMBERS // len(rows))
    for start in range(0, array.shape[1], step):
        block = np.asarray(array[:, start : start + step][rows], dtype=np.float64)
        block[~np.isfinite(block)] = 0
        groups = _groups(block, codes, n_classes, chance)
        groups |= _adjacent(_groups((block != 0) * 1.0, codes, n_classes, chance), n_classes, groups)
        together |= {start + column: group for column, group in groups.items()}
        few, ordered = _tells(block, codes, n_classes, chance)
        alone += [start + column for column in few]
        alone += [start + column for column in ordered if _is_even(np.asarray(array[:, start + column])[there])]
    alone += [column for column, group in together.items() if len(set(group)) == n_classes and column not in alone]
    if alone:
        return f"the labels can be read off column {_listed(sorted(alone))} exactly"
    if len(set(zip(*together.values(), strict=True))) == n_classes:
        return f"the labels can be read off columns {_listed(sorted(together))} together exactly"
    if 1 < array.shape[1] <= _WIDEST and _sums(np.asarray(array[rows], dtype=np.float64), codes, n_classes):
        return "the labels can be read off sums of its columns exactly"
    return ""


def _listed(columns: list[int]) -> str:
    """Counted from 1."""
    more = f" and {len(columns) - _NAMED} more" if len(columns) > _NAMED else ""
    return ", ".join(str(column + 1) for column in columns[:_NAMED]) + more


def _groups(
    block: NDArray[np.float64], codes: NDArray[np.intp], n_classes: int, chance: float
) -> dict[int, tuple[int, ...]]:
    """Column -> the group of each class, where all values of a group lie close together and far from all others."""
    starts = np.searchsorted(codes, np.arange(n_classes))
    low, high = np.minimum.reduceat(block, starts, axis=0), np.maximum.reduceat(block, starts, axis=0)
    spread = high.max(0) - low.min(0)
    likely = np.flatnonzero((spread > 0) & ((high - low).max(0) <= _TIGHT * spread))
    sizes = np.bincount(codes, minlength=n_classes)
    found = {}
    for column in likely.tolist():
        lows, highs = low[:, column], high[:, column]
        order = np.argsort(lows)
        ends = np.maximum.accumulate(highs[order])
        gaps = lows[order][1:] - ends[:-1]
        apart = gaps > (highs - lows).max() / _TIGHT
        if not apart.any() or (gaps[~apart] > 0).any():
            continue
        group = np.empty(n_classes, dtype=int)
        group[order] = np.concatenate([[0], np.cumsum(apart)])
        counts = np.bincount(group, weights=sizes)
        if n_classes * math.log(len(counts)) - _ways(counts) < chance:
            found[column] = tuple(group.tolist())
    return found


def _adjacent(
    found: dict[int, tuple[int, ...]], n_classes: int, besides: dict[int, tuple[int, ...]]
) -> dict[int, tuple[int, ...]]:
    """Columns that are 0 outside of one class each, as many side by side as there are classes.

    A word may come in the texts of one class alone; it does not lie beside one of each other class.
    """
    single = {column for column, group in found.items() if sum(group) == 1 and column not in besides}
    kept: dict[int, tuple[int, ...]] = {}
    for first in single:
        columns = range(first, first + n_classes)
        if single.issuperset(columns) and len({found[column] for column in columns}) == n_classes:
            kept |= {column: found[column] for column in columns}
    return kept


def _ways(counts: NDArray[Any]) -> float:
    """The logarithm of how many ways there are to deal N samples into groups of these sizes."""
    return math.lgamma(counts.sum() + 1) - sum(math.lgamma(count + 1) for count in counts.tolist())


def _tells(
    block: NDArray[np.float64], codes: NDArray[np.intp], n_classes: int, chance: float
) -> tuple[list[int], list[int]]:
    """Columns of which each value comes in one class alone; columns of unlike values in the order of the classes."""
    glance = spaced(len(block), _GLANCED_AT)
    columns = np.arange(block.shape[1])
    few = ordered = np.zeros(0, dtype=bool)
    for some in (glance, np.arange(len(block))):
        few, ordered = _is_pure(block[some][:, columns], codes[some], n_classes)
        if len(some) < len(block):
            columns = columns[few | ordered]
    ways = _ways(np.bincount(codes, minlength=n_classes))
    n_values = [len(np.unique(block[:, column])) for column in columns[few]]
    told = [
        column
        for column, n in zip(columns[few].tolist(), n_values, strict=True)
        if n * math.log(n_classes) - ways < chance
    ]
    return told, columns[ordered].tolist()


def _is_pure(
    block: NDArray[np.float64], codes: NDArray[np.intp], n_classes: int
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Columns of few values, each in one class; columns without a value twice, in the order of the classes."""
    order = np.argsort(block, axis=0, kind="stable")
    values, classes = np.take_along_axis(block, order, axis=0), codes[order]
    same, turned = values[1:] == values[:-1], classes[1:] != classes[:-1]
    pure, n_values = ~(same & turned).any(0), 1 + (~same).sum(0)
    few = pure & (n_values > 1) & (n_values <= len(block) / 4)
    return few, (turned.sum(0) == n_classes - 1) & (n_values == len(block))


def _is_even(column: NDArray[Any]) -> bool:
    """Whether numbers are a count: sorted, they lie one step apart, or a few where rows were left out."""
    steps = np.diff(np.sort(column.astype(np.float64)))
    if not steps.min(initial=0.0) >= 0 or not (least := steps.min(initial=np.inf)) > 0:
        return False
    ratios = steps / least
    return bool((np.abs(ratios - np.rint(ratios)) < 1e-2).all() and ratios.mean() < 2)


def _sums(rows: NDArray[np.float64], codes: NDArray[np.intp], n_classes: int) -> bool:
    """Whether sums of columns are the same throughout each class, and tell all classes apart."""
    n = len(rows)
    rows = rows - rows.mean(0)
    scale = np.abs(rows).max(0)
    rows = rows[:, scale > 0] / scale[scale > 0]
    if not rows.shape[1] or 2 * (rows.shape[1] + n_classes) > n:
        return False
    one_hot = np.eye(n_classes)[codes]
    one_hot -= one_hot.mean(0)
    classes, sizes, _ = np.linalg.svd(one_hot, full_matrices=False)
    classes = classes[:, sizes > 1e-9 * sizes[0]]
    products, crossed = rows.T @ rows, rows.T @ classes
    products[np.diag_indices_from(products)] += _FLAT * np.trace(products)
    squares, turned = np.linalg.eigh(crossed.T @ np.linalg.solve(products, crossed))  # of canonical correlations
    exact = turned[:, squares > 1 - _EXACT].T
    if not len(exact):
        return False
    told = classes @ exact.T  # one row a sample, the same throughout a class
    places = told[np.searchsorted(codes, np.arange(n_classes))]
    apart = np.abs(places[:, None] - places[None]).max(-1)
    return bool((apart[~np.eye(n_classes, dtype=bool)] > 1e-6).all())
