"""How modalities' assignments agree: matching their clusters, and a measure of a run that needs no labels."""

from __future__ import annotations

import math
from itertools import combinations

import torch
from torch import Tensor

from cmc.functional.matching import match
from cmc.functional.mutual_information import mutual_information
from cmc.functional.scores import accuracy, normalized_mutual_info


def match_modalities(tables: Tensor) -> Tensor:
    """Name the clusters of every modality by those of the first, one modality after the other.

    Each modality is matched (Hungarian) to all modalities before it together; one that no sample ties to any of these
    comes later.

    Args:
        tables: M x M x K x K; entry (a, b) sums p^a (p^b)^T over samples that have both.

    Returns:
        M x K, int64: entry (m, k) is the cluster of modality m that bears the common name k.
    """
    n_modalities, _, n_clusters, _ = tables.shape
    names = torch.arange(n_clusters, device=tables.device).repeat(n_modalities, 1)
    tied = tables.sum((2, 3)) > 0
    named, left = [0], list(range(1, n_modalities))
    while left:
        m = next((m for m in left if tied[named, m].any()), left[0])
        together = sum((tables[before, m][names[before]] for before in named), torch.zeros_like(tables[0, m]))
        names[m] = match(together)
        named, left = sorted([*named, m]), [other for other in left if other != m]
    return names


def agreement_tables(clusters: Tensor, n_clusters: int, present: Tensor | None = None) -> Tensor:
    """Count the samples in every pair of two modalities' clusters, or of two networks'.

    Args:
        clusters: M x B, int64: the samples' clusters in every modality or network.
        n_clusters: K.
        present: B x M, whether a sample has a modality: those are counted that have both; None for all.

    Returns:
        M x M x K x K, int64; tables of disjoint batches add up to the table of all.
    """
    n_modalities, pairs = len(clusters), n_clusters * n_clusters
    if present is not None:
        return _tables_of_present(clusters, n_clusters, present.T)
    cells = [torch.bincount(a * n_clusters + b, minlength=pairs) for a in clusters for b in clusters]
    return torch.stack(cells).view(n_modalities, n_modalities, n_clusters, n_clusters)


def _tables_of_present(clusters: Tensor, n_clusters: int, present: Tensor) -> Tensor:
    n_modalities, pairs = len(clusters), n_clusters * n_clusters
    cells = [
        torch.bincount((clusters[a] * n_clusters + clusters[b])[present[a] & present[b]], minlength=pairs)
        for a in range(n_modalities)
        for b in range(n_modalities)
    ]
    return torch.stack(cells).view(n_modalities, n_modalities, n_clusters, n_clusters)


def agreement(tables: Tensor) -> tuple[float, float]:
    """Label-free measures of a clustering by several modalities.

    Args:
        tables: M x M x K x K, int64; entry (a, b) counts the samples in every pair of modality a's and b's clusters,
            of those that have both.

    Returns:
        The mean pairwise NMI of the modalities' own assignments, and the entropy of their cluster sizes as a share of
        log K, a mean over modalities; both from 0 to 1. Their product measures a run without labels: a run whose
        modalities agree on clusters of equal size has 1. Pairs that no sample has both of tell nothing; NaN where
        there are no others.
    """
    n_modalities, _, n_clusters, _ = tables.shape
    pairs = [normalized_mutual_info(table) for table in _filled(tables)] or [math.nan]
    sizes = torch.stack([tables[m, m].diagonal() for m in range(n_modalities)]).double()
    share = sizes / sizes.sum(1, keepdim=True).clamp_min(1)
    balance = -torch.special.xlogy(share, share).sum(1).mean() / math.log(n_clusters)
    return sum(pairs) / len(pairs), balance.item()


def concordance(tables: Tensor) -> float:
    """The share of samples that two modalities put into the same cluster: the accuracy of one against the other.

    It sees what the normalised mutual information hardly does: that one modality merges clusters where another splits.

    Args:
        tables: as for `agreement`.

    Returns:
        The mean over pairs of modalities, from 0 to 1; 0 where there are no samples.
    """
    pairs = _filled(tables)
    return sum(map(accuracy, pairs)) / max(1, len(pairs))


def compared_in(tables: Tensor) -> int:
    """How many samples two modalities are compared on: of `agreement_tables`, a mean over pairs that any sample has."""
    counts = [int(table.sum()) for table in _filled(tables)]
    return sum(counts) // max(1, len(counts))


def _filled(tables: Tensor) -> list[Tensor]:
    """Those of two modalities that any sample has both of."""
    return [tables[a, b] for a, b in combinations(range(len(tables)), 2) if tables[a, b].any()]


def label_free(tables: Tensor) -> dict[str, float]:
    """What `agreement` measures, by name: ``agreement``, ``balance``, and their product ``quality``."""
    agreed, balance = agreement(tables)
    return {"agreement": agreed, "balance": balance, "quality": agreed * balance}


def medoid(tables: Tensor) -> int:
    """The number of the clustering that shares most with the others; the lowest number of equals.

    By the mean mutual information: of clusterings with a single cluster, which agree whatever they say, it is 0.

    Args:
        tables: R x R x K x K, int64; entry (a, b) counts the samples in every pair of clustering a's and b's clusters.
    """
    n, shares = len(tables), torch.zeros(len(tables), len(tables), dtype=torch.float64)
    for a, b in combinations(range(n), 2):
        shares[a, b] = shares[b, a] = mutual_information(tables[a, b].double() / tables[a, b].sum())
    means = [math.fsum(row) for row in shares.tolist()]
    return means.index(max(means))


def information_beyond_chance(table: Tensor) -> float:
    """What a cluster in one modality tells of the cluster in another, beyond what it would by chance, in nats.

    The mutual information of the two assignments, less its expectation where samples are paired at random and both
    keep their clusters' sizes. Unlike a normalised index it does not favour few clusters: K clusters of equal size on
    which both modalities agree share log K.

    Args:
        table: K x K counts of samples in every pair of the two modalities' clusters.

    Returns:
        About 0 where the modalities share nothing; below, too.

    Source:
        N. X. Vinh, J. Epps and J. Bailey, *Information theoretic measures for clusterings comparison*, JMLR 2010.
    """
    from scipy.sparse import csr_matrix
    from sklearn.metrics import mutual_info_score
    from sklearn.metrics.cluster import expected_mutual_information

    counts = table.cpu().numpy()
    counts = counts[counts.sum(1) > 0][:, counts.sum(0) > 0]
    cells = csr_matrix(counts)
    found = mutual_info_score(None, None, contingency=cells)
    return float(found - expected_mutual_information(cells, int(counts.sum())))


def agreement_weights(tables: Tensor) -> Tensor:
    """How much pairs of modalities are to be pulled together: e^NMI - 1, from 0 for unrelated clusters to e - 1.

    Args:
        tables: as for `agreement`.

    Returns:
        M x M; a modality and itself have e - 1.

    Source: SEM (Xu et al., NeurIPS 2023), the class mutual information of two views.
    """
    n_modalities = len(tables)
    weights = torch.full((n_modalities, n_modalities), math.e - 1, dtype=torch.float64)
    for a, b in combinations(range(n_modalities), 2):
        weights[a, b] = weights[b, a] = math.expm1(normalized_mutual_info(tables[a, b]))
    return weights
