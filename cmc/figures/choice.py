"""How many clusters: what is measured over K, with its band over seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from cmc.figures.style import BLUE, GREY, ORANGE, PAGE, blank, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Band = Mapping[int, Sequence[float]]  # K -> a figure of each seed, or of each pair of them


@styled
def choice(
    panels: Mapping[str, Band],
    chosen: int | None,
    alike: Sequence[int] = (),
    by_chance: Mapping[int, float] | None = None,
) -> Figure:
    """A panel a measure: its mean over K, and the band of one standard deviation.

    Args:
        panels: title -> K -> values; a K without values is left out.
        chosen: the K that is recommended, marked by a line.
        alike: the K that do as well, shaded.
        by_chance: of the first panel, by K: what hardly is exceeded by chance.
    """
    from statistics import mean, stdev

    figure = blank(PAGE, 2.3)
    known = [k for band in panels.values() for k in band]
    for number, (title, band) in enumerate(panels.items()):
        axes = figure.add_subplot(1, len(panels), number + 1)
        ks = sorted(k for k in band if band[k])
        means = [mean(band[k]) for k in ks]
        spread = [stdev(band[k]) if len(band[k]) > 1 else 0.0 for k in ks]
        if alike:
            axes.axvspan(min(alike) - 0.4, max(alike) + 0.4, color=GREY, alpha=0.2, lw=0)
        if chosen is not None:
            axes.axvline(chosen, color=ORANGE, lw=1, ls="--")
        low, high = ([m + sign * s for m, s in zip(means, spread, strict=True)] for sign in (-1, 1))
        axes.fill_between(ks, low, high, color=BLUE, alpha=0.25, lw=0)
        axes.plot(ks, means, color=BLUE, marker="o", ms=2.5)
        if by_chance and number == 0:
            axes.fill_between(sorted(by_chance), 0, [by_chance[k] for k in sorted(by_chance)], color="0.6", lw=0)
        axes.set_title(title)
        axes.set_xlabel("K")
        axes.set_xlim(min(known) - 0.5, max(known) + 0.5)
        if low:
            axes.set_ylim(min(0.0, *low), 1.1 * max(*high, *(by_chance or {}).values()) if number == 0 else None)
        if title.endswith("(ARI)"):
            axes.set_ylim(top=1.05)
        axes.locator_params(axis="x", integer=True)
    return figure
