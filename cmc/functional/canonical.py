"""Canonical correlation analysis: what two or more modalities have in common, linearly."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from cmc.functional.threads import one_thread


def canonical_projections(modalities: Sequence[Tensor], components: int, regularization: float = 0.0) -> list[Tensor]:
    r"""MAXVAR generalised canonical correlation analysis, exactly, by singular value decompositions.

    Of all G with orthonormal columns, the one that linear functions of every modality come nearest to:
    min over G, W of sum_m ||G - X_m W_m||^2, the X_m centred. With the thin decompositions X_m = U_m S_m V_m^T, G holds
    the first left singular vectors of [U_1 ... U_M]. With two modalities its columns are the sums of the pairs of
    canonical variates of CCA, in the order of their correlations.

    Args:
        modalities: M tensors N x d_m, in double precision; their means are taken off here.
        components: c, columns of G; those beyond what the modalities span are 0.
        regularization: ridge on each modality's covariance, in multiples of its mean eigenvalue.

    Returns:
        M tensors d_m x c, A_m, with G = sum_m X_m A_m; double precision, on the CPU.

    Source:
        J. R. Kettenring, *Canonical analysis of several sets of variables*, Biometrika 1971 (MAXVAR); P. Rastogi,
        B. Van Durme and R. Arora, *Multiview LSA*, NAACL 2015 (by decompositions, regularised).
    """
    with one_thread():
        bases, whitenings = zip(*(_whiten(x.cpu().numpy(), regularization) for x in modalities), strict=True)
        _, values, right = np.linalg.svd(np.hstack(bases), full_matrices=False)
        kept = min(components, int((values > 1e-6 * values.max(initial=0)).sum()))
        loadings = np.zeros((right.shape[1], components))
        loadings[:, :kept] = right[:kept].T / values[:kept]
        starts = np.cumsum([basis.shape[1] for basis in bases])[:-1]
        parts = zip(whitenings, np.split(loadings, starts), strict=True)
        return [torch.from_numpy(whitening @ part) for whitening, part in parts]


def _whiten(x: np.ndarray, regularization: float) -> tuple[np.ndarray, np.ndarray]:
    """Of N x d: the basis U (N x rank), its columns shrunk where regularised, and the d x rank matrix that makes it."""
    centred = x - x.mean(0)
    left, values, right = np.linalg.svd(centred, full_matrices=False)
    rank = int((values > values.max(initial=0) * max(x.shape) * np.finfo(np.float32).eps).sum())  # features are float32
    ridged = np.sqrt(values**2 + regularization * (values**2).sum() / x.shape[1])[:rank]
    return left[:, :rank] * (values[:rank] / ridged), right[:rank].T / ridged


def shared_directions(covariances: Sequence[Sequence[Tensor]], components: int, regularization: float) -> list[Tensor]:
    """Directions in which modalities vary together, from their covariances: MAXVAR's, weighted by correlation.

    Args:
        covariances: M x M tensors d_a x d_b, in double precision, on the CPU.
        components: c, columns of what comes out; those beyond what the modalities span are 0.
        regularization: ridge on each modality's covariance, in multiples of its mean eigenvalue.

    Returns:
        M tensors d_m x c: rows times them are canonical variates, as of `canonical_projections` but for their scale:
        a variate's standard deviation is the mean of its correlations over pairs of modalities, at least 0, and a
        modality's mean square over all its variates is 1.
    """
    whitenings = [_whitening(row[m], regularization) for m, row in enumerate(covariances)]
    values, vectors = torch.linalg.eigh(torch.cat([torch.cat(row, 1) for row in _projected(covariances, whitenings)]))
    kept = (values > values[-1] * 1e-6).nonzero().flatten()[-components:].flip(0)
    parts = torch.split(vectors[:, kept], [whitening.shape[1] for whitening in whitenings])
    directions = torch.cat([whitening @ part for whitening, part in zip(whitenings, parts, strict=True)])
    signs = directions.gather(0, directions.abs().argmax(0, keepdim=True)).sign()
    split = torch.split(directions * signs, [len(row[0]) for row in covariances])
    products = _projected(covariances, split)
    deviations = [products[m][m].diagonal().clamp_min(0).sqrt() for m in range(len(split))]
    correlations = [
        (products[a][b].diagonal() / (deviations[a] * deviations[b])).nan_to_num(0.0, 0.0, 0.0)
        for a, b in combinations(range(len(split)), 2)
    ]
    weights = torch.stack(correlations).mean(0).clamp(0, 1)
    found = []
    for own, deviation in zip(split, deviations, strict=True):
        scale = (weights.square() * (deviation > 0)).sum().div(components).sqrt()
        factors = (weights / (deviation * scale)).nan_to_num(0.0, 0.0, 0.0)
        found.append(F.pad(own * factors, (0, components - len(kept))))
    return found


def _projected(covariances: Sequence[Sequence[Tensor]], directions: Sequence[Tensor]) -> list[list[Tensor]]:
    """Covariances, M x M, of rows times their directions."""
    return [
        [a.T @ covariance @ b for b, covariance in zip(directions, row, strict=True)]
        for a, row in zip(directions, covariances, strict=True)
    ]


def _whitening(covariance: Tensor, regularization: float) -> Tensor:
    """The d x rank matrix that makes rows of this covariance white, but for the ridge."""
    values, vectors = torch.linalg.eigh(covariance)
    kept = values > values[-1].clamp_min(0) * 1e-10
    ridged = values[kept] + regularization * values.sum() / len(values)
    whitening: Tensor = vectors[:, kept] * ridged.rsqrt()
    return whitening


def held_out_correlations(
    modalities: Sequence[Tensor], components: int = 50, permutations: int = 5
) -> dict[tuple[int, int], tuple[Tensor, float]]:
    """Canonical correlations of every pair of modalities, fitted to one half of the samples, on the other half.

    What two modalities share carries over from samples to others; what is learned by heart does not. Each modality is
    brought to its leading principal components first, for with as many columns as samples any two modalities correlate
    perfectly.

    Args:
        modalities: M tensors N x d_m, of the same N samples, at least 4.
        components: principal components of a modality, of which there are at most a tenth of the first half's samples.
        permutations: how often samples are paired at random, to see what chance gives.

    Returns:
        Pair -> its correlations on the second half, in the order of those on the first; and the largest by chance.

    Source:
        H. Hotelling, *Relations between two sets of variates*, Biometrika 1936.
    """
    n = len(modalities[0])
    generator, half = torch.Generator().manual_seed(0), n // 2
    order = torch.randperm(n, generator=generator)
    reduced = [_leading(x.cpu()[order].double(), half, max(1, min(components, half // 10))) for x in modalities]
    pairings = [torch.randperm(n, generator=generator) for _ in range(permutations)]
    found = {}
    for a, b in combinations(range(len(modalities)), 2):
        by_chance = max(_carried_over(reduced[a], reduced[b][other], half).abs().max().item() for other in pairings)
        found[a, b] = _carried_over(reduced[a], reduced[b], half), by_chance
    return found


def _leading(x: Tensor, half: int, components: int) -> Tensor:
    """All rows on the leading principal components of the first half, those of no spread left out."""
    x = x - x[:half].mean(0)
    first = x[:half]
    wide = first.shape[1] > half
    values, vectors = torch.linalg.eigh(first @ first.T if wide else first.T @ first)
    kept = (values > values[-1] * 1e-10).nonzero().flatten()[-components:].flip(0)
    basis: Tensor = first.T @ vectors[:, kept] if wide else vectors[:, kept]
    reduced: Tensor = x @ basis
    return reduced


def _carried_over(a: Tensor, b: Tensor, half: int) -> Tensor:
    """Correlations on the second half of the variates fitted to the first."""
    components = min(a.shape[1], b.shape[1])
    if not components:
        return a.new_zeros(1)
    projections = canonical_projections([a[:half], b[:half]], components)
    first, second = (x[half:] @ weights for x, weights in zip((a, b), projections, strict=True))
    first, second = first - first.mean(0), second - second.mean(0)
    lengths = first.norm(dim=0) * second.norm(dim=0)
    correlations: Tensor = (first * second).sum(0) / lengths
    return correlations.nan_to_num(0.0)  # a variate that is constant here
