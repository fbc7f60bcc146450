"""Measures of one clustering that need no labels: how far apart its clusters lie, how sure it is."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from cmc.functional.threads import one_thread


def silhouette(points: Tensor, clusters: Tensor) -> float | None:
    """The mean silhouette: how much nearer samples lie to their own cluster than to the next one (scikit-learn's).

    Args:
        points: N x D; time and memory grow with N^2.
        clusters: N, integers.

    Returns:
        A number in -1..1, higher for clusters further apart; None where there is one cluster, or one a sample.

    Source:
        P. J. Rousseeuw, *Silhouettes*, Journal of Computational and Applied Mathematics 1987.
    """
    from sklearn.metrics import silhouette_score

    if not 1 < len(set(clusters.tolist())) < len(points):
        return None
    with one_thread():
        return float(silhouette_score(points.cpu().double().numpy(), clusters.cpu().numpy()))


def assignment_entropy(assignments: Tensor) -> Tensor:
    """The entropy of each sample's assignment as a share of log K: 0 for a certain one, 1 for a uniform one.

    Args:
        assignments: B x K probabilities.

    Returns:
        B numbers, double precision.
    """
    entropy: Tensor = torch.special.entr(assignments.double())
    return entropy.sum(1).abs() / math.log(assignments.shape[1])
