"""Which K the measures favour, if any, and why."""

from __future__ import annotations

from collections.abc import Sequence
from math import isnan
from typing import NamedTuple

from cmc.choosing.measures import Measured, known

STABLE = 0.5  # pairs of runs agree beyond half of what chance leaves; below, clusters dissolve from run to run


class Answer(NamedTuple):
    """What is recommended.

    Attributes:
        k: None where no K stands out.
        reasons: for it, or why there is none; the first one comes first in a line.
        doubts: what a reader should know besides.
        alike: the K whose information is within one standard error of the largest.
    """

    k: int | None
    reasons: list[str]
    doubts: list[str]
    alike: list[int]

    def __str__(self) -> str:
        """In one line."""
        opening = "no K stands out: " if self.k is None else f"K = {self.k}: "
        return opening + "; ".join([*self.reasons, *self.doubts])


def recommend(measured: Sequence[Measured]) -> Answer:
    """The smallest K at which modalities share about as much as at any, if runs find the same clusters there.

    Of the information that modalities share on samples that training has not seen, beyond chance, the smallest K
    within one standard error of the largest; none where they share no more than chance gives, or where at that K two
    runs agree on less than half of what chance leaves.

    Source:
        The rule of one standard error is that of L. Breiman et al., *Classification and regression trees*, 1984;
        stability over samples, A. Ben-Hur, A. Elisseeff and I. Guyon, *A stability based method for discovering
        structure in clustered data*, PSB 2002; the bound of one half, C. Hennig, *Cluster-wise assessment of cluster
        stability*, Computational Statistics & Data Analysis 2007.
    """
    tried = known(measured)
    if len(tried) < 2:
        why = "what modalities share on samples held out is known for fewer than two K"
        return Answer(None, [why], [], [])
    if not (above := [each for each in tried if each.shares > each.by_chance]):
        most = max(tried, key=lambda each: each.shares)
        why = f"modalities share no more than by chance at any K (at most {most.shares:.2f} nats, at K = {most.k})"
        return Answer(None, [why], [], [])
    best = max(above, key=lambda each: each.shares)
    alike = [each.k for each in above if each.shares >= best.shares - best.error]
    chosen = next(each for each in tried if each.k == alike[0])
    if chosen.stable < STABLE:
        whys = [
            f"modalities share most at K = {_listed(alike)}, but there two runs hardly find the same clusters "
            f"(ARI {chosen.stable:.2f} at K = {chosen.k})",
            f"the data may have no clusters, or none that this method finds{_steadier(tried)}",
        ]
        return Answer(None, whys, [], alike)
    reasons = [f"modalities share {chosen.shares:.2f} nats on samples held out, {_compared(chosen, best, tried)}"]
    if not isnan(chosen.stable):
        reasons.append(f"two runs find the same clusters (ARI {chosen.stable:.2f})")
    return Answer(chosen.k, reasons, _doubts(chosen, best, tried, alike), alike)


def _compared(chosen: Measured, best: Measured, tried: Sequence[Measured]) -> str:
    lower = [each for each in tried if each.k < chosen.k]
    least = f"{lower[-1].shares:.2f} at K = {lower[-1].k}" if lower else ""
    most = f"as much as at any K (at most {best.shares:.2f}, at {best.k})" if best is not chosen else "the most"
    return f"{most}{', ' * bool(least)}{least}"


def _doubts(chosen: Measured, best: Measured, tried: Sequence[Measured], alike: Sequence[int]) -> list[str]:
    doubts = []
    if len(alike) > 1:
        doubts.append(f"K = {_listed(alike)} do as well")
    if best.k == tried[-1].k:
        doubts.append("what is shared still grows at the largest K tried: try larger ones")
    if chosen.k == tried[0].k:
        doubts.append("it is the smallest K tried")
    if isnan(chosen.stable):
        doubts.append("of one seed: nothing is known of stability; give 'seed=0,1,2'")
    return doubts


def _steadier(tried: Sequence[Measured]) -> str:
    steady = [each.k for each in tried if each.stable >= STABLE]
    return f"; runs agree at K = {_listed(steady)}" if steady else ""


def _listed(numbers: Sequence[int]) -> str:
    return ", ".join(map(str, numbers))
