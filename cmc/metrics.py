"""ACC, NMI, ARI and purity as torchmetrics: exact over batches and processes, in any LightningModule.

All of them hold the same single state, the contingency table of predicted clusters and classes. It is summed over
batches and over processes, and a score is computed from the sum: no sample is counted twice, none is left out, and no
average of averages is taken, however uneven the shards. Beside them stands what can be measured without labels.
"""

from __future__ import annotations

from abc import abstractmethod

import torch
from torch import Tensor
from torchmetrics import Metric, MetricCollection

from cmc.functional import contingency, scores
from cmc.functional.agreement import agreement_tables, label_free

UNLABELLED = -1  # in the place of a label that is not known


class ContingencyMetric(Metric):
    """A score of one contingency table; a subclass says which, by `score`.

    Args:
        n_clusters: K_pred, the number of clusters that may be predicted.
        n_classes: K_true, the number of classes; it need not equal ``n_clusters``.

    Attributes:
        table: (K_pred, K_true) int64 counts of the samples seen since the last reset; summed over processes while a
            score is computed.

    Raises:
        ValueError: if one of the two numbers is below 1.
    """

    is_differentiable = False
    higher_is_better = True
    full_state_update = False
    table: Tensor

    def __init__(self, n_clusters: int, n_classes: int) -> None:
        super().__init__()
        if min(n_clusters, n_classes) < 1:
            raise ValueError(f"n_clusters and n_classes must be at least 1, got {n_clusters} and {n_classes}")
        self.add_state("table", torch.zeros(n_clusters, n_classes, dtype=torch.int64), dist_reduce_fx="sum")

    @staticmethod
    @abstractmethod
    def score(table: Tensor) -> float:
        """The score of a (K_pred, K_true) table of counts; NaN where it is empty."""

    def update(self, clusters: Tensor, classes: Tensor) -> None:
        """Count one batch.

        Args:
            clusters: (B,) integer labels in 0..K_pred-1, or (B, K_pred) assignment probabilities or scores, of which
                the largest is taken.
            classes: (B,) integer labels in 0..K_true-1; -1 of a sample without a label, which is not counted.

        Raises:
            ValueError: if the shapes or the number of samples disagree, labels are not integers, or one is out of
                range. The table is then unchanged.
        """
        n_clusters, n_classes = self.table.shape
        if clusters.ndim == 2:
            if clusters.shape[1] != n_clusters:
                raise ValueError(f"clusters must have {n_clusters} columns, got the shape {tuple(clusters.shape)}")
            clusters = clusters.argmax(dim=1)
        if classes.ndim == 1 and classes.shape == clusters.shape and (gone := classes == UNLABELLED).any():
            clusters, classes = clusters[~gone], classes[~gone]
        # Not in place: Lightning makes the table under inference_mode, which forbids changing it outside later.
        self.table = self.table + contingency.contingency_table(clusters, classes, n_clusters, n_classes)

    def compute(self) -> Tensor:
        """The score of all samples of all processes: 0-d, float64 (float32 on MPS, which lacks float64)."""
        dtype = torch.float32 if self.table.device.type == "mps" else torch.float64
        return torch.tensor(self.score(self.table), dtype=dtype, device=self.table.device)


class ClusteringAccuracy(ContingencyMetric):
    """Clustering accuracy (ACC) under the best one-to-one matching of clusters to classes.

    In any LightningModule: make it in ``__init__``, call ``update`` in a validation, test or predict step, and pass it
    to ``self.log``; Lightning then computes it over all batches and processes and resets it.

    Args:
        n_clusters: K_pred, the number of clusters that may be predicted.
        n_classes: K_true, the number of classes.

    Source:
        :func:`cmc.functional.scores.accuracy`.

    Example:
        >>> metric = ClusteringAccuracy(n_clusters=2, n_classes=2)
        >>> metric.update(torch.tensor([1, 1, 0, 0]), torch.tensor([0, 0, 1, 0]))
        >>> metric.compute().item()
        0.75
    """

    score = staticmethod(scores.accuracy)


class NormalizedMutualInformation(ContingencyMetric):
    """Normalised mutual information (NMI) of clusters and classes, by the arithmetic mean of their entropies.

    In any LightningModule: make it in ``__init__``, call ``update`` in a validation, test or predict step, and pass it
    to ``self.log``; Lightning then computes it over all batches and processes and resets it.

    Args:
        n_clusters: K_pred, the number of clusters that may be predicted.
        n_classes: K_true, the number of classes.

    Source:
        :func:`cmc.functional.scores.normalized_mutual_info`.

    Example:
        >>> metric = NormalizedMutualInformation(n_clusters=3, n_classes=2)
        >>> metric.update(torch.tensor([0, 0, 1, 2]), torch.tensor([0, 0, 1, 1]))
        >>> round(metric.compute().item(), 4)
        0.8
    """

    score = staticmethod(scores.normalized_mutual_info)


class AdjustedRandIndex(ContingencyMetric):
    """Adjusted Rand index (ARI) of clusters and classes.

    In any LightningModule: make it in ``__init__``, call ``update`` in a validation, test or predict step, and pass it
    to ``self.log``; Lightning then computes it over all batches and processes and resets it.

    Args:
        n_clusters: K_pred, the number of clusters that may be predicted.
        n_classes: K_true, the number of classes.

    Source:
        :func:`cmc.functional.scores.adjusted_rand_index`.

    Example:
        >>> metric = AdjustedRandIndex(n_clusters=2, n_classes=2)
        >>> metric.update(torch.tensor([0, 1, 0, 1]), torch.tensor([0, 0, 1, 1]))
        >>> metric.compute().item()
        -0.5
    """

    score = staticmethod(scores.adjusted_rand_index)


class Purity(ContingencyMetric):
    """Purity: the fraction of samples in the most frequent class of their cluster.

    In any LightningModule: make it in ``__init__``, call ``update`` in a validation, test or predict step, and pass it
    to ``self.log``; Lightning then computes it over all batches and processes and resets it.

    Args:
        n_clusters: K_pred, the number of clusters that may be predicted.
        n_classes: K_true, the number of classes.

    Source:
        :func:`cmc.functional.scores.purity`.

    Example:
        >>> metric = Purity(n_clusters=3, n_classes=2)
        >>> metric.update(torch.tensor([0, 0, 1, 2]), torch.tensor([0, 0, 1, 1]))
        >>> metric.compute().item()
        1.0
    """

    score = staticmethod(scores.purity)


class ClusteringScores(MetricCollection):
    """ACC, NMI, ARI and purity of one shared table, under the keys ``acc``, ``nmi``, ``ari`` and ``purity``.

    In any LightningModule: make it in ``__init__``, call ``update`` in a validation, test or predict step, and pass it
    to ``self.log_dict``; Lightning then computes it over all batches and processes and resets it. ``update`` counts a
    batch once for all four; calling the object itself returns the scores of the batch besides, for four times the work.
    ``clone(prefix="val/")`` makes a copy whose keys begin so.

    Args:
        n_clusters: K_pred, the number of clusters that may be predicted.
        n_classes: K_true, the number of classes; it need not equal ``n_clusters``.

    Raises:
        ValueError: if one of the two numbers is below 1.

    Example:
        >>> scores = ClusteringScores(n_clusters=3, n_classes=2)
        >>> probabilities = torch.tensor([[0.8, 0.1, 0.1], [0.5, 0.3, 0.2], [0.1, 0.7, 0.2], [0.0, 0.0, 1.0]])
        >>> scores.update(probabilities, torch.tensor([0, 0, 1, 1]))
        >>> {name: round(score.item(), 4) for name, score in scores.compute().items()}
        {'acc': 0.75, 'ari': 0.5714, 'nmi': 0.8, 'purity': 1.0}
    """

    def __init__(self, n_clusters: int, n_classes: int) -> None:
        metrics: dict[str, Metric | MetricCollection] = {
            "acc": ClusteringAccuracy(n_clusters, n_classes),
            "nmi": NormalizedMutualInformation(n_clusters, n_classes),
            "ari": AdjustedRandIndex(n_clusters, n_classes),
            "purity": Purity(n_clusters, n_classes),
        }
        # The group is named, because groups that torchmetrics finds by itself cost one update a metric to find.
        super().__init__(metrics, compute_groups=[list(metrics)])


class LabelFree(Metric):
    """What can be said of a clustering without labels, from the modalities' own assignments.

    ``agreement``: the mean pairwise NMI of the modalities' clusters; ``balance``: the entropy of their cluster sizes as
    a share of log K; ``quality``: the product, 1 where all modalities agree on clusters of equal size.

    Args:
        n_modalities: M, at least 2.
        n_clusters: K.

    Source:
        :func:`cmc.functional.agreement.agreement`.

    Example:
        >>> measures = LabelFree(n_modalities=2, n_clusters=2)
        >>> measures.update(torch.tensor([[0, 0, 1, 1], [0, 0, 1, 1]]))
        >>> {name: round(value, 4) for name, value in measures.compute().items()}
        {'agreement': 1.0, 'balance': 1.0, 'quality': 1.0}
    """

    is_differentiable = False
    higher_is_better = True
    full_state_update = False
    tables: Tensor

    def __init__(self, n_modalities: int, n_clusters: int) -> None:
        super().__init__()
        shape = (n_modalities, n_modalities, n_clusters, n_clusters)
        self.add_state("tables", torch.zeros(shape, dtype=torch.int64), dist_reduce_fx="sum")

    def update(self, clusters: Tensor, present: Tensor | None = None) -> None:
        """Count one batch.

        Args:
            clusters: M x B, int64, or M x B x K assignments, of which the largest is taken.
            present: B x M, whether a sample has a modality: two modalities are compared on samples that have both.
        """
        clusters = clusters.argmax(2) if clusters.ndim == 3 else clusters
        self.tables = self.tables + agreement_tables(clusters, self.tables.shape[-1], present).to(self.tables.device)

    def compute(self) -> dict[str, float]:
        """The measures of all samples of all processes."""
        return label_free(self.tables)
