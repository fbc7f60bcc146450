"""What the history holds, over the epochs: loss terms, scores, measures that need no labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from cmc.figures.style import COLUMN, PAGE, blank, styled
from cmc.runs.report import LABEL_FREE, SCORES

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_NAMES = {"acc": "ACC", "nmi": "NMI", "ari": "ARI", "agreement_held_out": "held-out agreement"}
_MEASURES = {
    "against labels": SCORES,
    "without labels": LABEL_FREE,
}
_STYLES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)))

Row = Mapping[str, Any]


@styled
def losses(history: Sequence[Row]) -> Figure | None:
    """The loss and each of its terms over the epochs, a panel each, phases shaded; None for a single epoch.

    Args:
        history: rows of ``history.csv``.
    """
    measured = {name for names in _MEASURES.values() for name in names}
    terms = [name for name in history[0] if name not in {"epoch", "phase", "loss", *measured}]
    if len(history) < 2:
        return None
    panels = ["loss", *terms]
    columns = 2 if len(panels) in (2, 4) else min(3, len(panels))
    n_rows = -(-len(panels) // columns)
    figure = blank(PAGE * columns / 3, 1.7 * n_rows + 0.2)
    for number, name in enumerate(panels):
        axes = figure.add_subplot(n_rows, columns, number + 1)
        _over_epochs(axes, history, [name], name.replace("_", " "))
    return figure


@styled
def measures(history: Sequence[Row]) -> Figure | None:
    """The scores, and what needs no labels, wherever they were measured; None where they were not, or only once."""
    present = {
        title: found
        for title, names in _MEASURES.items()
        if (found := [name for name in names if sum(row.get(name, "") != "" for row in history) > 1])
    }
    if not present:
        return None
    figure = blank(COLUMN * len(present), 2.4)
    for number, (title, names) in enumerate(present.items()):
        axes = figure.add_subplot(1, len(present), number + 1)
        _over_epochs(axes, history, names, title)
        low = min(float(row[name]) for row in history for name in names if row[name] != "")
        axes.set_ylim(min(0.0, low - 0.05), 1.02)
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=len(names) if len(names) <= 4 else 3)
    return figure


def _over_epochs(axes: Axes, history: Sequence[Row], names: Sequence[str], title: str) -> None:
    """Draw columns of the history where they hold a value, over the phases."""
    _shade_phases(axes, history)
    for number, name in enumerate(names):
        points = [(int(row["epoch"]) + 1, float(row[name])) for row in history if row[name] != ""]
        few = "o" if len(points) < 3 else None
        label = _NAMES.get(name, name)
        axes.plot(*zip(*points, strict=True), label=label, ls=_STYLES[number % len(_STYLES)], marker=few, ms=3)
    axes.set_title(title, pad=14 if axes.texts else None)
    axes.set_xlabel("epoch")
    axes.set_xlim(0.5, len(history) + 0.5)


def _shade_phases(axes: Axes, history: Sequence[Row]) -> None:
    """A shade a phase; where there are several, their names above, as far as they fit."""
    starts = [i for i, row in enumerate(history) if i == 0 or row["phase"] != history[i - 1]["phase"]]
    for number, (start, stop) in enumerate(zip(starts, [*starts[1:], len(history)], strict=True)):
        axes.axvspan(start + 0.5, stop + 0.5, color="0.92" if number % 2 else "0.97", lw=0, zorder=0)
        name = history[start]["phase"]
        if len(starts) > 1 and stop - start > 0.018 * len(name) * len(history):
            x, place = (start + stop + 1) / 2, axes.get_xaxis_transform()
            axes.text(x, 1.02, name, fontsize=6, ha="center", va="bottom", transform=place)
