"""Canonical correlation analysis: what two or more modalities have in common, linearly."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor


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
    from threadpoolctl import threadpool_limits

    with threadpool_limits(limits=1):  # sums are then added in one order
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
