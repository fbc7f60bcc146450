"""One style for all pictures: readable at a page's width, colours that colour-blind readers tell apart."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from cmc.utils.atomic import atomic_write

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.typing import ColorType

COLUMN, PAGE = 3.4, 7.0  # inches: the widths of a column and of a page of two columns
BLUE, ORANGE, GREY = "#3f90da", "#e76300", "#94a4a2"
LEGEND, NAMED = 20, 50  # so many groups are named in a legend; up to so many where they lie
_BESIDE = 1.4  # inches: what may stand beside the axes of a picture, its labels and a scale of colours
NAME = 24  # characters of a cluster's name, which ends with the share that its class holds
_PALETTE = "petroff10"  # Petroff, Accessible color sequences for data visualization, arXiv 2107.02270
_COLOURS = 10  # of it
_MARKERS = "os^DvP*X<>"
_STYLE: dict[str, Any] = {
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.labelsize": 8,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "legend.fontsize": 7,
    "legend.frameon": False,
    "lines.linewidth": 1.2,
    "savefig.dpi": 200,
    "pdf.fonttype": 42,  # text stays text
    "svg.fonttype": "none",
    "svg.hashsalt": "cmc",
}
_UNDATED: dict[str, dict[str, Any]] = {"pdf": {"CreationDate": None}, "svg": {"Date": None}}

P = ParamSpec("P")
R = TypeVar("R")


def styled(function: Callable[P, R]) -> Callable[P, R]:
    """Draw in the common style."""

    @wraps(function)
    def drawn(*args: P.args, **kwargs: P.kwargs) -> R:
        import matplotlib
        from matplotlib.rcsetup import cycler

        settings: Any = {**_STYLE, "axes.prop_cycle": cycler(color=matplotlib.color_sequences[_PALETTE])}
        with matplotlib.rc_context(settings):
            return function(*args, **kwargs)

    return drawn


def blank(width: float, height: float) -> Figure:
    """An empty figure of so many inches, which makes room for what is put on it."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def colour(number: int) -> ColorType:
    """Of a group; ten groups differ."""
    import matplotlib

    return matplotlib.color_sequences[_PALETTE][number % _COLOURS]


def looks(number: int) -> dict[str, Any]:
    """Colour and marker of a group; a hundred groups differ in one of them."""
    return {"color": colour(number), "marker": _MARKERS[number // _COLOURS % len(_MARKERS)]}


def ticks(axes: Axes, which: str, names: Sequence[str], longest: int = 16) -> None:
    """Name positions 0, 1, ... of an axis, as many of them as can be read, in at most ``longest`` characters."""
    step = -(-len(names) // 50)
    size = 7 if len(names) <= LEGEND else 5
    places = range(0, len(names), step)
    place = axes.set_xticks if which == "x" else axes.set_yticks
    shown = [short(names[i], longest) for i in places]
    width = axes.get_figure(root=True).get_figwidth() - _BESIDE  # type: ignore[union-attr]
    upright = which == "x" and len(shown) * (max(map(len, shown)) + 1) > width * 120 / size
    place(list(places), shown, fontsize=size, rotation=90 if upright else 0)


def short(name: str, longest: int = 16) -> str:
    """A name of at most so many characters."""
    return name if len(name) <= longest else f"{name[: longest - 1]}…"


@styled
def save(figure: Figure, path: Path, formats: Sequence[str]) -> None:
    """Write ``path`` with each format's ending: ``png``, ``pdf``, ``svg``; the same figure gives the same bytes."""
    for ending in formats:
        with atomic_write(path.with_name(f"{path.name}.{ending}")) as unfinished:
            figure.savefig(unfinished, metadata=_UNDATED.get(ending))
        figure.set_layout_engine("none")  # the first format has laid it out
