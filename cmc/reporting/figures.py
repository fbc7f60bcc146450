"""The figures of a report: bars with error bars, and what a swept hyper-parameter does."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from pathlib import Path
from statistics import mean, stdev
from typing import TYPE_CHECKING, Any

from cmc.figures.style import blank, colour, save, styled
from cmc.reporting.rows import Row, short, shown
from cmc.reporting.tables import TITLES, is_mean
from cmc.runs.report import LABEL_FREE, SCORES
from cmc.utils.progress import Step

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.typing import ColorType

GROUPS: Mapping[str, Sequence[str]] = {
    "scores": SCORES,
    "holdout": tuple(f"holdout_{name}" for name in SCORES),
    "label-free": LABEL_FREE,
}
_ROWS = 30  # bars of one figure
_LINES = 6  # lines of one panel
_FORMATS = ("png", "pdf")
_NAMES = re.compile(rf"(data|method)-.+-({'|'.join(GROUPS)})(-\d+)*|sweep-.+-.+")  # of `figures`, numbered or not
_DECADES = 10  # the ratio of the largest to the smallest value from which an axis is logarithmic


def figures(rows: Sequence[Row]) -> Iterator[tuple[str, Figure]]:
    """Every figure with the name of its file, without an ending.

    A data set and a method on several data sets have bars for the scores, the held-out scores and the label-free
    measures, a method with swept hyper-parameters a figure for each of these.
    """
    for kind, other in (("data", "method"), ("method", "data")):
        for name, group in _by(rows, kind).items():
            if kind == "method" and len({row.data for row in group}) < 2:
                continue
            labels = [", ".join(filter(None, (getattr(row, other), row.label))) for row in group]
            for measure, wanted in GROUPS.items():
                if measures := [figure for figure in wanted if any(row.values(figure) for row in group)]:
                    for start in range(0, len(group), _ROWS):
                        part = slice(start, start + _ROWS)
                        page = f"-{start // _ROWS + 1}" if len(group) > _ROWS else ""
                        names = [getattr(row, other) for row in group[part]]
                        figure = bars(group[part], labels[part], names, measures, name)
                        yield f"{kind}-{slug(name)}-{measure}{page}", figure
    for (data, method), group in _by(rows, "data", "method").items():
        for key in (key for key in group[0].setting if len({shown(row.setting[key]) for row in group}) > 1):
            yield f"sweep-{slug(data)}-{slug(method)}-{slug(short(key))}", sensitivity(group, key)


def _by(rows: Iterable[Row], *attributes: str) -> dict[Any, list[Row]]:
    groups: defaultdict[Any, list[Row]] = defaultdict(list)
    for row in rows:
        values = tuple(getattr(row, attribute) for attribute in attributes)
        groups[values if len(values) > 1 else values[0]].append(row)
    return groups


@styled
def bars(
    rows: Sequence[Row], labels: Sequence[str], kinds: Sequence[str], measures: Sequence[str], title: str
) -> Figure:
    """A panel a measure: bars of the means with their standard deviations, and every run as a point.

    Rows of too few runs for a mean have points alone; rows of a kind have one colour.
    """
    colours = {kind: colour(n) for n, kind in enumerate(dict.fromkeys(kinds))}
    figure = blank(2.2 + 1.9 * len(measures), 0.9 + 0.36 * len(rows))
    panels: Sequence[Axes] = figure.subplots(1, len(measures), sharey=True, squeeze=False)[0]
    for axes, measure in zip(panels, measures, strict=True):
        lowest = 0.0
        for y, row in enumerate(rows):
            values, own = row.values(measure), colours[kinds[y]]
            if is_mean(row, measure):
                error = {"ecolor": "0.2", "capsize": 2.5, "elinewidth": 1}
                axes.barh(y, mean(values), 0.72, xerr=stdev(values), color=own, alpha=0.55, error_kw=error)
            axes.plot(values, [y + 0.22] * len(values), "o", ms=3, mfc="w", mec=own, mew=0.8, zorder=3)
            lowest = min([lowest, *values])
        axes.set_title(TITLES[measure])
        axes.set_xlim(lowest * 1.1, 1)
        axes.grid(axis="x", color="0.9", lw=0.6)
        axes.set_axisbelow(True)
    panels[0].set_yticks(range(len(rows)), [_plain(label) for label in labels])
    panels[0].set_ylim(len(rows) - 0.4, -0.6)
    figure.suptitle(_plain(title), fontsize=10, fontweight="bold")
    return figure


@styled
def sensitivity(rows: Sequence[Row], key: str) -> Figure:
    """ACC, NMI and ARI (without labels: the label-free measures) over the values of one swept hyper-parameter.

    A line joins settings that differ in it alone: means with a band of one standard deviation, where the runs are
    enough for means, over points, which are the single runs.
    """
    measures = SCORES[:3] if any(row.values("acc") for row in rows) else LABEL_FREE
    values = sorted({_key(row.setting[key]) for row in rows})
    numeric = all(kind == 0 for kind, _, _ in values)
    place = {value: value[1] if numeric else float(number) for number, value in enumerate(values)}
    lines: defaultdict[str, list[Row]] = defaultdict(list)
    for row in rows:
        rest = {other: value for other, value in row.setting.items() if other != key}
        lines[", ".join(f"{short(other)}={shown(value)}" for other, value in rest.items())].append(row)
    figure = blank(2.6 * len(measures), 2.6)
    for axes, measure in zip(figure.subplots(1, len(measures), squeeze=False)[0], measures, strict=True):
        for number, (label, group) in enumerate(lines.items()):
            points = [(place[_key(row.setting[key])], row) for row in group]
            own = colour(number) if len(lines) <= _LINES else "0.4"
            _line(axes, sorted(points, key=lambda point: point[0]), measure, own, label)
        axes.set_title(TITLES[measure])
        axes.set_xlabel(_plain(short(key)))
        axes.grid(color="0.92", lw=0.6)
        _scale(axes, [value[1] for value in values] if numeric else [shown_ for _, _, shown_ in values])
    if 1 < len(lines) <= _LINES:
        figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=2)
    figure.suptitle(_plain(f"{rows[0].method} on {rows[0].data}"), fontsize=10, fontweight="bold")
    return figure


def _line(axes: Axes, points: Sequence[tuple[float, Row]], measure: str, own: ColorType, label: str) -> None:
    for x, row in points:
        values = row.values(measure)
        axes.plot([x] * len(values), values, "o", ms=2.5, mfc="none", mec=own, mew=0.7, alpha=0.7)
    if means := [(x, row.values(measure)) for x, row in points if is_mean(row, measure)]:
        places = [x for x, _ in means]
        centre = [mean(values) for _, values in means]
        spread = [stdev(values) for _, values in means]
        axes.plot(places, centre, "-", color=own, lw=1.4, marker="s", ms=3.5, label=_plain(label))
        low, high = ([c + sign * s for c, s in zip(centre, spread, strict=True)] for sign in (-1, 1))
        axes.fill_between(places, low, high, color=own, alpha=0.15, lw=0)


def _scale(axes: Axes, values: Sequence[Any]) -> None:
    """Ticks at the values; a logarithmic axis where they span decades; names in a row where they are no numbers."""
    if isinstance(values[0], str):
        axes.set_xticks(range(len(values)), [_plain(value) for value in values])
        axes.set_xlim(-0.5, len(values) - 0.5)
        return
    if min(values) > 0 and max(values) / min(values) >= _DECADES:
        axes.set_xscale("log")
    if len(values) <= _LINES:
        axes.set_xticks(values, [f"{value:g}" for value in values], minor=False)
        axes.tick_params(axis="x", which="minor", labelbottom=False)


def _key(value: Any) -> tuple[int, float, str]:
    """Orders numbers before everything else."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return 0, float(value), shown(value)
    return 1, 0.0, shown(value)


def _plain(text: str) -> str:
    """Text that matplotlib does not take for a formula."""
    return text.replace("$", r"\$")


def slug(name: str) -> str:
    """A name as a part of a file's name."""
    return re.sub(r"[^\w.=-]+", "-", name)[:60].strip("-.") or "unnamed"


def write_figures(rows: Sequence[Row], folder: Path, advance: Step, begin: Step) -> list[Path]:
    """Write every figure as ``.png`` and ``.pdf``; return the paths without their endings.

    An earlier report's figures in the same folder that these do not replace are removed, and no other file.
    """
    written: dict[Path, None] = {}
    drawn = list(figures(rows))
    begin("figures", len(drawn))
    for name, figure in drawn:
        number = 1
        while (path := folder / (name if number == 1 else f"{name}-{number}")) in written:
            number += 1
        written[path] = None
        save(figure, path, _FORMATS)
        advance("figures", 1)
    _remove_earlier(folder, {path.name for path in written})
    return list(written)


def _remove_earlier(folder: Path, present: Set[str]) -> None:
    for path in folder.glob("*"):
        if path.suffix[1:] in _FORMATS and path.stem not in present and _NAMES.fullmatch(path.stem) and path.is_file():
            path.unlink()
