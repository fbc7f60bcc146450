"""Ranks of methods over data sets, and which of them differ: Friedman's test and Nemenyi's critical difference.

Source: Demsar, *Statistical Comparisons of Classifiers over Multiple Data Sets*, JMLR 7 (2006), section 3.2.2.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import NamedTuple

from matplotlib.figure import Figure
from scipy.stats import friedmanchisquare, rankdata, studentized_range

from cmc.figures.style import BLUE, GREY, PAGE, blank, styled


class Standing(NamedTuple):
    """How methods compare over data sets that all of them have scores on.

    Attributes:
        ranks: method -> its rank on each data set, 1 for the best; equals share the mean of their ranks.
        data: names of the data sets.
        p: of Friedman's test that all methods are alike; NaN for fewer than three methods or two data sets.
        difference: of mean ranks, from which on two methods differ (Nemenyi, 5 %); NaN likewise.
    """

    ranks: Mapping[str, Sequence[float]]
    data: Sequence[str]
    p: float
    difference: float

    @property
    def means(self) -> dict[str, float]:
        """Method -> its mean rank, the best first."""
        means = {method: fmean(ranks) for method, ranks in self.ranks.items()}
        return dict(sorted(means.items(), key=lambda item: item[1]))


def standing(scores: Mapping[str, Mapping[str, float]]) -> Standing:
    """Rank methods.

    Args:
        scores: data set -> method -> its score, the larger the better. Data sets that a method lacks are left out for
            all; methods that have none of them must be left out before.
    """
    methods = sorted({method for each in scores.values() for method in each})
    data = [name for name, each in scores.items() if len(each) == len(methods)]
    columns = [[scores[name][method] for method in methods] for name in data]
    ranked = [rankdata([-x for x in column]).tolist() for column in columns]
    ranks = {method: [own[i] for own in ranked] for i, method in enumerate(methods)}
    if len(methods) < 3 or len(data) < 2:
        return Standing(ranks, data, math.nan, math.nan)
    p = float(friedmanchisquare(*([column[i] for column in columns] for i in range(len(methods)))).pvalue)
    return Standing(ranks, data, p, critical_difference(len(methods), len(data)))


def critical_difference(n_methods: int, n_data: int, alpha: float = 0.05) -> float:
    """Nemenyi's: q_alpha sqrt(k (k + 1) / (6 N)), q of the studentized range divided by sqrt 2."""
    q = float(studentized_range.ppf(1 - alpha, n_methods, math.inf)) / math.sqrt(2)
    return q * math.sqrt(n_methods * (n_methods + 1) / (6 * n_data))


def alike(means: Mapping[str, float], difference: float) -> list[tuple[float, float]]:
    """The longest stretches of mean ranks, of two methods and more, within which no two differ: first and last."""
    values = sorted(means.values())
    stretches: list[tuple[float, float]] = []
    for first in values:
        last = max(value for value in values if value - first < difference)
        if last > first and not any(a <= first and last <= b for a, b in stretches):
            stretches.append((first, last))
    return stretches


@styled
def diagram(found: Standing) -> Figure:
    """Mean ranks on a line, best at the left; a bar joins methods that do not differ by Nemenyi's test."""
    means = found.means
    bars = [] if math.isnan(found.difference) else alike(means, found.difference)
    height = 0.16 * len(means) + 0.13 * len(bars) + 0.8
    figure = blank(PAGE, height)
    axes = figure.subplots()
    names = list(means)
    for place, (name, rank) in enumerate(means.items()):
        axes.plot([rank, rank], [-place - 1, 0], color=GREY, linewidth=0.6)
        axes.plot(rank, -place - 1, "o", color=BLUE, markersize=4)
        axes.annotate(
            f"{name}  {rank:.2f}",
            (rank, -place - 1),
            xytext=(-5, 0),  # the lines of later ones are on the other side
            textcoords="offset points",
            ha="right",
            va="center",
            fontsize=7,
        )
    for place, (first, last) in enumerate(bars):
        axes.plot([first, last], [0.6 + 0.8 * place] * 2, color="black", linewidth=2, solid_capstyle="round")
    room = 0.3 * len(names)  # for the first one's name
    axes.set(xlim=(1 - room, len(names) + 0.5), ylim=(-len(names) - 1, 0.8 * len(bars) + 1), yticks=[])
    axes.set_xticks(range(1, len(names) + 1, 1 + len(names) // 12))
    axes.spines["left"].set_visible(False)
    told = "" if math.isnan(found.difference) else f"; bars: no difference (Nemenyi, 5 %: {found.difference:.2f})"
    axes.set_xlabel(f"mean rank over {len(found.data)} data sets{told}")
    return figure
