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
from cmc.reporting.sensitivity import plain, sensitivity
from cmc.reporting.tables import TITLES, is_mean
from cmc.runs.report import LABEL_FREE, SCORES
from cmc.utils.progress import Step

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

GROUPS: Mapping[str, Sequence[str]] = {
    "scores": SCORES,
    "holdout": tuple(f"holdout_{name}" for name in SCORES),
    "label-free": LABEL_FREE,
}
_ROWS = 30  # bars of one figure
_FORMATS = ("png", "pdf")
_NAMES = re.compile(rf"(data|method)-.+-({'|'.join(GROUPS)})(-\d+)*|sweep-.+-.+")  # of `figures`, numbered or not


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
    panels[0].set_yticks(range(len(rows)), [plain(label) for label in labels])
    panels[0].set_ylim(len(rows) - 0.4, -0.6)
    figure.suptitle(plain(title), fontsize=10, fontweight="bold")
    return figure


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
