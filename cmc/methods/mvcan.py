"""MVCAN: modalities that share no parameter and no loss, and meet in targets that are renamed for each of them."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from cmc.data.loader import Batch, InOrder
from cmc.functional.contingency import contingency_table
from cmc.functional.kmeans import nearest
from cmc.functional.matching import match
from cmc.functional.scores import normalized_mutual_info
from cmc.functional.targets import sharpen, student_t
from cmc.methods.base import sum_of
from cmc.methods.self_training import SelfTraining, some
from cmc.nn.kmeans_head import KMeansHead

_ROUNDS = 2  # of k-means and weights, before targets are made


class MVCAN(SelfTraining):
    r"""Multi-view clustering that noisy views do not harm.

    The phases are ``reconstruct`` and ``learn``, whose loss is

    .. math:: \sum_m MSE(x^m, decoder^m(z^m)) + \lambda \sum_m MSE(q^m, P A^m)

    No parameter is shared, and no term compares modalities. Every ``refresh_every`` epochs, twice over: all codes,
    their columns scaled to [0, 1] and their modality's multiplied by w_m, are put side by side as F; k-means on F gives
    the clusters y; and w_m = e^NMI of y and the argmax of q^m, 1 before the first time. Then P is the sharpened
    Student's t of F to the centres of y, and A^m the permutation that matches the names of y to those of q^m. F is
    still by the weights before the last ones, as in the release.

    A sample's cluster is that of k-means on F, made anew for every evaluation; held-out samples go to the nearest
    centre. A modality alone says its q^m in the names of y, several the mean of theirs.

    Source: Xu et al., *Investigating and Mitigating the Side Effects of Noisy Views for Self-Supervised Clustering
    Algorithms in Practical Multi-View Scenarios*, CVPR 2024. In the release all modalities start from equal weights
    where their widths are equal; here each draws its own. Its epochs and lambda differ by data set: lambda is 10 for
    BDGP, DIGIT, COIL and YoutubeVideo, 100 for Amazon, .1 for DHA and RGB-D, .01 for Caltech; conf/method/mvcan.yaml
    has 10 for all.

    Args:
        arguments: of `SelfTraining`; ``target_weight`` is lambda.
        settings: of `SelfTraining`.

    Attributes:
        head: k-means on F.
        weights: M, w.
        targets: 1 x N x K, P.
        renamed: M x K, A of the targets: the cluster of q^m that is the k-th of y.
        names: M x K, the same of the last clusters, which assignments are read in.

    Raises:
        UserError: a value outside its range, or another phase.
    """

    second = "learn"
    weights: Tensor
    renamed: Tensor
    names: Tensor

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        m, k, width = self.centres.shape
        self.head = KMeansHead([width] * m, k, self.restarts, self.seed, "minmax")
        self.register_buffer("weights", torch.ones(m))
        self.register_buffer("renamed", torch.arange(k).repeat(m, 1))
        self.register_buffer("names", torch.arange(k).repeat(m, 1))

    def distance(self, q: Tensor, batch: Batch) -> Tensor:
        """The mean squared error between assignments and targets, in every modality's own names."""
        p = self.targets[0, batch.index.to(self.targets.device)]
        named = (torch.empty_like(p).index_copy_(1, names, p) for names in self.renamed)
        return sum_of(F.mse_loss(own, target) for own, target in zip(q, named, strict=True))

    def begin(self, codes: list[Tensor]) -> None:
        """From k-means in each modality, as they are named by themselves."""
        self.begin_apart(codes, named=False)

    def make_targets(self, codes: list[Tensor], number: int) -> None:
        """P, A and, for the next time, w."""
        for _ in range(_ROUNDS):
            tables = self._clustered(codes)
            shared = [normalized_mutual_info(table) for table in tables]
            self.weights.copy_(torch.tensor(shared, dtype=torch.float64).exp())
        self.renamed.copy_(self.names)
        self.targets = sharpen(student_t(self.head.joined(codes), self.head.centres))[None]
        own = zip(self.modalities, self.weights.tolist(), strict=True)
        self.note(**{f"weight_{name}": weight for name, weight in own})

    def _clustered(self, codes: list[Tensor]) -> list[Tensor]:
        """Find the centres and the names; give the K x K counts of y and of each q^m."""
        k = self.n_clusters
        self.head.fit([some(z) for z in codes], self.weights)
        found = nearest(self.head.joined(codes), self.head.centres)
        tables = [contingency_table(found, own.argmax(1), k, k) for own in self.soft(codes)]
        self.names.copy_(torch.stack([match(table) for table in tables]))
        return tables

    def settle(self, batches: InOrder) -> None:
        """Cluster F as it is now; targets and weights stay."""
        self._clustered(self.all_codes(batches))

    def assign_each(self, batch: Batch) -> Tensor:
        """q^m of every modality in common names, M x B x K."""
        return self._named(self.codes(batch))

    def _named(self, codes: list[Tensor]) -> Tensor:
        return torch.stack([q[:, names] for q, names in zip(self.soft(codes), self.names, strict=True)])

    def assignments(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Those of k-means on F, and those of each modality alone."""
        codes = self.codes(batch)
        return self.head.assign(codes)[0], self._named(codes)

    def embed(self, batch: Batch) -> Tensor:
        """F, B x (M latent_dim)."""
        return self.head.joined(self.codes(batch))
