"""The figure of one swept hyper-parameter: what its values do."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import pairwise
from statistics import mean, stdev
from typing import TYPE_CHECKING, Any, NamedTuple

from cmc.figures.style import blank, colour, styled
from cmc.figures.style import short as cut
from cmc.reporting.rows import Row, short, shown
from cmc.reporting.tables import TITLES, is_mean
from cmc.runs.report import LABEL_FREE, SCORES

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.typing import ColorType

_LINES = 6  # lines of one panel that have colours of their own
_PANELS = 4  # in a row
_DECADES = 10  # the ratio of the largest to the smallest value from which an axis may be logarithmic
_NEAR = 0.02  # of an axis: values that lie nearer than this cannot be told apart
_LETTER, _GAP = 0.027, 0.03  # of a panel's width: of a letter beneath it, between two labels
_HEIGHT = 0.06  # inches of a letter of a label that stands upright
_NAMES = 24  # labels that fit beneath a panel when they stand upright


class _Scale(NamedTuple):
    """Where values lie on an axis.

    Attributes:
        kind: ``linear``, ``log``, or ``row`` for values that stand side by side.
        places: the text of a value -> its place.
        labels: what is written, place by place, in order.
    """

    kind: str
    places: Mapping[str, float]
    labels: Sequence[tuple[float, str]]


@styled
def sensitivity(rows: Sequence[Row], key: str) -> Figure:
    """ACC, NMI and ARI (without labels: the label-free measures that there are) over the values of one hyper-parameter.

    A line joins settings that differ in it alone: means with a band of one standard deviation, where the runs are
    enough for means, over points, which are the single runs.
    """
    wanted = SCORES[:3] if any(row.values("acc") for row in rows) else LABEL_FREE
    measures = [name for name in wanted if any(row.values(name) for row in rows)]
    scale = _scale([row.setting[key] for row in rows])
    lines: defaultdict[str, list[Row]] = defaultdict(list)
    for row in rows:
        rest = {other: value for other, value in row.setting.items() if other != key}
        lines[", ".join(f"{short(other)}={shown(value)}" for other, value in rest.items())].append(row)
    columns = min(_PANELS, max(1, len(measures)))
    n_rows = max(1, -(-len(measures) // columns))
    beneath = _HEIGHT * max(len(text) for _, text in scale.labels) if _is_upright(scale) else 0.0
    figure = blank(
        2.6 * columns, (2.3 + beneath) * n_rows + 0.3 + 0.2 * (-(-len(lines) // 2) if _has_legend(lines) else 0)
    )
    panels = figure.subplots(n_rows, columns, squeeze=False).flat
    for axes, measure in zip(panels, measures, strict=False):
        for number, (label, group) in enumerate(lines.items()):
            points = sorted(((scale.places[shown(row.setting[key])], row) for row in group), key=lambda point: point[0])
            _line(axes, points, measure, colour(number) if len(lines) <= _LINES else "0.4", label)
        axes.set_title(TITLES[measure])
        axes.set_xlabel(plain(short(key)))
        axes.grid(color="0.92", lw=0.6)
        _label(axes, scale)
    for axes in list(panels)[len(measures) :]:
        axes.remove()
    if _has_legend(lines):
        named = {text: handle for axes in figure.axes for handle, text in zip(*_named(axes), strict=True)}
        figure.legend(named.values(), named.keys(), loc="outside lower center", ncols=2)
    figure.suptitle(plain(f"{rows[0].method} on {rows[0].data}"), fontsize=10, fontweight="bold")
    return figure


def _named(axes: Axes) -> tuple[list[Any], list[str]]:
    handles, texts = axes.get_legend_handles_labels()
    return handles, texts


def _line(axes: Axes, points: Sequence[tuple[float, Row]], measure: str, own: ColorType, label: str) -> None:
    means = [(x, row.values(measure)) for x, row in points if is_mean(row, measure)]
    for number, (x, row) in enumerate(points):
        values = row.values(measure)
        name = plain(label) if not number and not means else None
        axes.plot([x] * len(values), values, "o", ms=2.5, mfc="none", mec=own, mew=0.7, alpha=0.7, label=name)
    if means:
        places = [x for x, _ in means]
        centre = [mean(values) for _, values in means]
        spread = [stdev(values) for _, values in means]
        axes.plot(places, centre, "-", color=own, lw=1.4, marker="s", ms=3.5, label=plain(label))
        low, high = ([c + sign * s for c, s in zip(centre, spread, strict=True)] for sign in (-1, 1))
        axes.fill_between(places, low, high, color=own, alpha=0.15, lw=0)


def _scale(values: Sequence[Any]) -> _Scale:
    """Where values lie: numbers where they can be told apart, by their logarithms where these are more even.

    What is no number, and numbers that neither way can tell apart (0 among powers of ten), stand side by side in order.
    """
    ordered = sorted({_order(value) for value in values})
    numbers = [number for _, number, _ in ordered]
    texts = [text for *_, text in ordered]
    if any(kind for kind, *_ in ordered):
        return _row(texts)
    kind, gaps = "linear", _gaps(numbers)
    if numbers[0] > 0 and numbers[-1] / numbers[0] >= _DECADES:
        by_logarithm = _gaps([math.log(number) for number in numbers])
        if max(by_logarithm) < max(gaps):
            kind, gaps = "log", by_logarithm
    if min(gaps, default=1.0) < _NEAR and len(numbers) < 1 / _NEAR:
        return _row(texts)
    labels, at, end = [], 0.0, -math.inf
    for number, gap in zip(numbers, [0.0, *gaps], strict=True):
        text, at = f"{number:g}", at + gap
        if at - _LETTER * len(text) / 2 >= end:
            labels.append((number, text))
            end = at + _LETTER * len(text) / 2 + _GAP
    return _Scale(kind, dict(zip(texts, numbers, strict=True)), labels)


def _row(texts: Sequence[str]) -> _Scale:
    step = -(-len(texts) // _NAMES)
    labels = [(float(number), plain(cut(text))) for number, text in enumerate(texts) if number % step == 0]
    return _Scale("row", {text: float(number) for number, text in enumerate(texts)}, labels)


def _gaps(numbers: Sequence[float]) -> list[float]:
    """Between neighbours, as shares of the whole."""
    return [(b - a) / (numbers[-1] - numbers[0]) for a, b in pairwise(numbers)]


def _label(axes: Axes, scale: _Scale) -> None:
    """Set the axis, with labels that do not overprint."""
    if scale.kind == "log":
        axes.set_xscale("log")
    axes.minorticks_off()
    places, texts = zip(*scale.labels, strict=True)
    axes.set_xticks(places, texts, rotation=90 if _is_upright(scale) else 0)
    if scale.kind == "row":
        axes.set_xlim(-0.5, len(scale.places) - 0.5)


def _is_upright(scale: _Scale) -> bool:
    """Whether labels are too long to lie side by side."""
    return scale.kind == "row" and max(len(text) for _, text in scale.labels) * _LETTER + _GAP > 1 / len(scale.places)


def _has_legend(lines: Mapping[str, Any]) -> bool:
    return 1 < len(lines) <= _LINES


def _order(value: Any) -> tuple[int, float, str]:
    """Orders numbers before everything else."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return 0, float(value), shown(value)
    return 1, 0.0, shown(value)


def plain(text: str) -> str:
    """Text that matplotlib does not take for a formula."""
    return text.replace("$", r"\$")
