"""What modalities share, told from the data alone: canonical correlations on samples that they were not fitted to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from cmc.figures.style import COLUMN, GREY, LEGEND, blank, looks, short, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_SHOWN = 20  # correlations of a pair


@styled
def sharing(pairs: Sequence[Mapping[str, Any]]) -> Figure | None:
    """Held-out canonical correlations, a line a pair of modalities, and what chance gives; None without any pair.

    Args:
        pairs: ``shared`` of ``metrics.json``: ``modalities``, ``held_out``, ``by_chance``.
    """
    if not pairs:
        return None
    figure = blank(COLUMN * (1.0 if len(pairs) == 1 else 1.6), 2.4)
    axes = figure.add_subplot()
    ranked = sorted(pairs, key=lambda pair: -max(pair["held_out"]))
    for number, pair in enumerate(ranked):
        values = pair["held_out"][:_SHOWN]
        name = ", ".join(map(short, pair["modalities"]))
        axes.plot(range(1, len(values) + 1), values, markersize=3, label=name, **looks(number))
    chance = max(pair["by_chance"] for pair in pairs)
    axes.axhspan(-chance, chance, color=GREY, alpha=0.3, linewidth=0, label="chance")
    axes.set(xlabel="pair of canonical variates", ylabel="correlation on held-out samples", ylim=(-0.25, 1.02))
    axes.locator_params(axis="x", integer=True)
    if len(pairs) <= LEGEND:
        figure.legend(
            loc="outside right upper" if len(pairs) > 1 else "outside upper center", ncols=1 + (len(pairs) == 1)
        )
    return figure
