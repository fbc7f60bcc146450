r"""Confidences that mean something without labels: how probably another modality says the same cluster.

A modality m gives a sample the probabilities p^m, and alone says c^m, the largest of them. They are tempered by one
number for all modalities and samples,

    q^m_k(T) = (p^m_k)^{1/T} / \sum_l (p^m_l)^{1/T},

which changes no c^m. The temperature is that by which q^m forecasts, on average, what the *other* modalities say: their
clusters stand in the place of labels. It solves

    1/M \sum_m E[max_k q^m_k(T)] = 1/(M (M - 1)) \sum_{m \ne n} P(c^m = c^n).

The left side falls from 1 to 1/K as T grows, so that there is one solution at most, found by bisection; the right side
is the share of samples on which two modalities agree. The confidence of a cluster k is the mean over modalities of
q^m_k(T): the probability, told from what one modality shows, that another says k.

It is no probability that k is the right class. Modalities that are mistaken together agree, and of modalities that are
weak alone the mean may be better than their agreement says.

Source: temperature scaling is C. Guo, G. Pleiss, Y. Sun and K. Weinberger, *On Calibration of Modern Neural Networks*,
ICML 2017, section 4.2, there with labels and by the likelihood. The other modality's cluster in the place of a label,
and the mean matched in the place of the likelihood (so that a share counted before, of samples that are not at hand any
more, will do), are choices made here.
"""

from __future__ import annotations

import math
from itertools import combinations

import torch
from torch import Tensor

LEAST, MOST = 2.0**-6, 2.0**10  # temperatures that are looked at
_HALVINGS = 60  # of their logarithm
_BLOCK = 2**20  # probabilities that are tempered at once


def tempered(each: Tensor, temperature: float) -> Tensor:
    """q(T) of probabilities, over the last dimension; those below the least normal number count as that."""
    return (each.clamp(min=torch.finfo(each.dtype).tiny).log() / temperature).softmax(-1)


def calibrated(each: Tensor, cluster: Tensor, temperature: float, present: Tensor | None = None) -> Tensor:
    """How probably another modality says a sample's cluster: the mean of q^m of that cluster.

    Args:
        each: M x B x K, probabilities of each modality.
        cluster: B, int64.
        temperature: T.
        present: B x M, true where a sample has a modality, of which each has one; None for all.

    Returns:
        B.
    """
    own = tempered(each, temperature).gather(2, cluster.expand(len(each), -1)[:, :, None])[:, :, 0]
    return own.mean(0) if present is None else own.masked_fill(~present.T, 0).sum(0) / present.sum(1)


def agreeing(each: Tensor, present: Tensor | None = None) -> float:
    """The share of samples on which two modalities say the same, a mean over pairs of modalities.

    Args:
        each: M x N x K.
        present: N x M, whether a sample has a modality: a pair is compared on those that have both. None for all.
    """
    said = each.argmax(2)
    pairs = list(combinations(range(len(said)), 2))
    if present is None:
        return sum(int((said[a] == said[b]).sum()) for a, b in pairs) / (len(pairs) * each.shape[1])
    both = {pair: count for pair in pairs if (count := _both(present, *pair).sum().item())}
    shares = [int((said[a] == said[b])[_both(present, a, b)].sum()) / count for (a, b), count in both.items()]
    return sum(shares) / max(1, len(shares))


def compared(present: Tensor) -> int:
    """How many samples, on average over pairs of modalities that any has, `agreeing` compares; of N x M."""
    pairs = combinations(range(present.shape[1]), 2)
    counts = [count for a, b in pairs if (count := int(_both(present, a, b).sum()))]
    return sum(counts) // max(1, len(counts))


def _both(present: Tensor, a: int, b: int) -> Tensor:
    return present[:, a] & present[:, b]


def temperature_of(each: Tensor, share: float, counted: int) -> float:
    """The temperature by which modalities are as sure as they agree.

    What is matched is (n share + 1) / (n + 2), the rule of succession: where all of n samples agree, the next one may
    not.

    Args:
        each: M x N x K, probabilities of each modality.
        share: of samples, on which two modalities say the same.
        counted: n, of how many samples.

    Returns:
        T, from 1/64 to 1024; an end of this range where no temperature within it will do.
    """
    share = (counted * share + 1) / (counted + 2)
    logs = each.double().clamp(min=torch.finfo(torch.float32).tiny).log().flatten(0, 1)
    low, high = math.log(LEAST), math.log(MOST)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if _sureness(logs, math.exp(middle)) > share:
            low = middle
        else:
            high = middle
    return math.exp((low + high) / 2)


def _sureness(logs: Tensor, temperature: float) -> float:
    """The mean of the largest q(T); of rows x K logarithms of probabilities."""
    rows = max(1, _BLOCK // logs.shape[1])
    parts = (logs[start : start + rows] for start in range(0, len(logs), rows))
    return math.fsum(float((part / temperature).softmax(1).amax(1).sum()) for part in parts) / len(logs)


def calibration_error(confidence: Tensor, right: Tensor, n_bins: int = 15) -> tuple[float, list[tuple[float, float]]]:
    """The expected calibration error (ECE): how far confidences are from the share of samples that are right.

    Args:
        confidence: N, from 0 to 1.
        right: N, bool.
        n_bins: of equal width, from 0 to 1.

    Returns:
        The mean over samples of the distance, in each bin, of the mean confidence from the share; both of each bin that
        has samples, in order.

    Source:
        Guo et al. (see above), equation 3.
    """
    values, hits = confidence.double(), right.double()
    place = (values * n_bins).long().clamp(0, n_bins - 1)
    sizes, sure, true = (torch.bincount(place, x, n_bins) for x in (torch.ones_like(values), values, hits))
    held = sizes > 0
    error = float((sure - true).abs().sum() / len(values))
    return error, list(zip((sure / sizes)[held].tolist(), (true / sizes)[held].tolist(), strict=True))
