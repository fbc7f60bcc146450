"""What pictures of a clustering are made of: clusters matched to classes, samples laid out in two dimensions."""

from __future__ import annotations

import re

import numpy as np
import torch

from cmc.functional.contingency import contingency_table
from cmc.functional.matching import match


def evenly(n: int, at_most: int) -> np.ndarray:
    """Ascending positions in 0..n-1, evenly spaced, the first and the last among them; all where they are few."""
    return np.unique(np.linspace(0, n - 1, min(at_most, n)).astype(int))


def match_classes(
    clusters: np.ndarray, labels: np.ndarray, n_clusters: int
) -> tuple[np.ndarray, np.ndarray, list[int]]:
    """Match clusters to classes one to one.

    Args:
        clusters: (N,) integers in 0..n_clusters-1.
        labels: (N,) class names; where all are whole numbers they are ordered as numbers.
        n_clusters: K.

    Returns:
        The C class names in their order, the (K, C) counts, and for each cluster the position of its class, or -1.
    """
    names = set(labels.tolist())
    numbered = all(re.fullmatch(r"-?\d+", name) for name in names)
    classes = np.array(sorted(names, key=int if numbered else str))
    position = {name: code for code, name in enumerate(classes.tolist())}
    codes = np.array([position[name] for name in labels.tolist()])
    table = contingency_table(torch.from_numpy(clusters), torch.from_numpy(codes), n_clusters, len(classes))
    return classes, table.numpy(), match(table).tolist()


def principal(features: np.ndarray, width: int = 2) -> np.ndarray:
    """The first principal components of samples.

    Args:
        features: (N, D), of floats.
        width: how many, at least 2.

    Returns:
        (N, width); fewer columns where N or D are fewer, but 2 at least, filled with zeros where there is no more.
    """
    from sklearn.decomposition import PCA

    width = min(width, *features.shape)
    if width < 2 or not features.std() > 0:
        return np.pad(features, ((0, 0), (0, 2)))[:, :2]
    components: np.ndarray = PCA(width, random_state=0).fit_transform(features)
    return components


def project(features: np.ndarray) -> np.ndarray:
    """Lay samples out in two dimensions: t-SNE, or the two principal directions of a handful of samples.

    Args:
        features: (N, D), of floats.

    Returns:
        (N, 2).
    """
    from sklearn.manifold import TSNE
    from threadpoolctl import threadpool_limits

    reduced = principal(features, 30)
    if len(features) < 50 or not reduced.std() > 0 or min(features.shape) < 2:  # t-SNE would crash without spread
        return reduced[:, :2]
    with threadpool_limits(limits=1):  # on few points threads only wait for each other
        points: np.ndarray = TSNE(2, init="pca", perplexity=30, max_iter=500, random_state=0).fit_transform(reduced)
    return points
