"""What is measured at one K, of runs of which each has trained on other samples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import isfinite, nan, sqrt
from pathlib import Path
from statistics import mean, stdev
from typing import TYPE_CHECKING

from cmc.choosing.found import Found

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Measured:
    """One K; figures of each run in the order of the seeds.

    Attributes:
        k: K.
        seeds: of its finished runs.
        information: what modalities share on the samples compared, in nats, beyond chance; NaN where unknown.
        compared: how many samples that is, in the run that has the fewest.
        stability: adjusted Rand index of each pair of runs.
        silhouette: of each run that has one.
        sizes: shares of the samples, largest cluster first, a mean over runs.
        ari: of each run against labels, where there are any; for looking at, chooses nothing.
        typical: folder of the run that agrees best with the others.
        unseen: whether training has not seen the samples compared.
    """

    k: int
    seeds: list[int]
    information: list[float]
    compared: int
    stability: list[float]
    silhouette: list[float]
    sizes: list[float]
    ari: list[float]
    typical: Path
    unseen: bool

    @property
    def shares(self) -> float:
        """Mean information; NaN where unknown."""
        return mean(self.information) if all(map(isfinite, self.information)) else nan

    @property
    def error(self) -> float:
        """Standard error of `shares` over seeds; 0 for one seed."""
        return stdev(self.information) / sqrt(len(self.information)) if len(self.information) > 1 else 0.0

    @property
    def by_chance(self) -> float:
        """What `shares` hardly exceeds where modalities share nothing: three standard deviations of one run's.

        2n times the mutual information of independent assignments is about chi-square of (K - 1)^2 degrees of freedom,
        whose standard deviation is sqrt(2) (K - 1). The mean over runs has a smaller one.
        """
        return 3 * (self.k - 1) / (sqrt(2) * max(self.compared, 1))

    @property
    def stable(self) -> float:
        """Mean stability; NaN for one seed."""
        return mean(self.stability) if self.stability else nan


def measure(k: int, runs: Mapping[int, Found]) -> Measured:
    """Measure one K.

    Args:
        k: K.
        runs: seed -> what its run has found.
    """
    import numpy as np

    found = list(runs.values())
    pairs = {(a, b): _same(found[a], found[b]) for a, b in combinations(range(len(found)), 2)}
    agreeing = [sum(ari for pair, ari in pairs.items() if i in pair) for i in range(len(found))]
    sizes = [np.sort(np.bincount(one.clusters, minlength=k))[::-1] / len(one.clusters) for one in found]
    return Measured(
        k,
        list(runs),
        [_information(k, one) for one in found],
        min(0 if one.own is None else min(pair.shape[1] for pair in _compared(one.own)) for one in found),
        list(pairs.values()),
        [one.silhouette for one in found if one.silhouette is not None],
        np.mean(sizes, 0).tolist(),
        [one.ari for one in found if one.ari is not None],
        found[agreeing.index(max(agreeing))].folder,
        all(one.unseen for one in found),
    )


def known(measured: Sequence[Measured]) -> list[Measured]:
    """Those at which it is known what modalities share, by K."""
    return sorted((each for each in measured if isfinite(each.shares)), key=lambda each: each.k)


def _same(first: Found, second: Found) -> float:
    """The adjusted Rand index of two runs, on the samples that both have."""
    import numpy as np
    from sklearn.metrics import adjusted_rand_score

    _, here, there = np.intersect1d(first.rows, second.rows, assume_unique=True, return_indices=True)
    return float(adjusted_rand_score(first.clusters[here], second.clusters[there]))


def _information(k: int, found: Found) -> float:
    """What two modalities share, a mean over pairs; NaN for fewer samples than clusters, which tell nothing."""
    import torch

    from cmc.functional.agreement import agreement_tables, information_beyond_chance

    pairs = [] if found.own is None else _compared(found.own)
    if not pairs or min(pair.shape[1] for pair in pairs) < k:
        return nan
    return mean(information_beyond_chance(agreement_tables(torch.from_numpy(pair), k)[0, 1]) for pair in pairs)


def _compared(own: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """Of every two modalities (of M x N, -1 where a sample lacks one) the clusters of samples that have both, 2 x n.

    Pairs that no sample has both of are left out, unless there are no others.
    """
    pairs = [own[[a, b]][:, (own[a] >= 0) & (own[b] >= 0)] for a, b in combinations(range(len(own)), 2)]
    return [pair for pair in pairs if pair.shape[1]] or pairs
