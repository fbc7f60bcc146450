"""CVCL: contrast between the cluster assignments of modalities, sharpened within the batch."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import combinations
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import Optimizer

from cmc import distributed
from cmc.data.loader import Batch
from cmc.data.module import DataModule
from cmc.functional.contrastive import cluster_contrast, cluster_imbalance, cluster_products
from cmc.functional.targets import sharpen
from cmc.methods.autoencoder import reconstruction
from cmc.methods.base import Method, sum_of
from cmc.methods.demands import check_phases, check_weights, check_widths, refuse_negative, require_samples
from cmc.nn.autoencoder import AutoEncoders
from cmc.nn.precision import full_precision, to_float32
from cmc.utils import validate


class CVCL(Method):
    r"""Cross-view contrastive learning at the level of clusters.

    An auto-encoder a modality, with ReLU after every layer, its code's too; a head that all modalities share makes of
    the code z^m the assignment q^m. The head is two linear layers with nothing between them. Phases:

    1. ``reconstruct``: the error of the ``reconstruction``, summed over modalities.
    2. ``contrast``: the same; over pairs of modalities lambda times ``label_contrast``, NT-Xent between the columns of
       P^a and P^b, and beta times ``imbalance``, the divergence of both mean P from uniform. P is q sharpened by the
       clusters' sizes in the batch (`cmc.functional.targets.sharpen`), and gradients pass through it.

    A sample's cluster is the argmax of the mean over modalities of q^m.

    Source: Chen et al., *Deep Multiview Clustering by Contrasting Cluster Assignments*, ICCV 2023. The release counts
    ``imbalance`` without the constant log K, which has no gradient. Its settings were searched by ACC, a set a data set
    (docs/methods.md); those of conf/method/cvcl.yaml are ours. The release compares columns by inner products on some
    data sets, which grow with the samples a cluster; by cosine, as on others, the batch changes nothing. Its decoders
    end in ReLU, which features below 0 cannot have (``output``).

    Args:
        dims: modality -> width.
        n_clusters: K.
        phases: ``reconstruct`` and ``contrast``.
        optimizer: a function of the parameters.
        batch_size: the global batch, at least K samples.
        drop_last: leave an incomplete last batch out.
        hidden: widths of the encoders' hidden layers; decoders mirror them.
        latent_dim: width of z.
        head_dim: width between the head's layers.
        contrast_weight: lambda.
        balance_weight: beta.
        temperature: of the contrast.
        cosine: whether columns are compared by cosine; or by inner products.
        output: what the decoders end in: ``linear``, for any features; or ``relu``, as in the release, for features of
            at least 0.
        gradient_clip: a bound on the norm of the gradient.

    Raises:
        UserError: a value outside its range, or another phase.
    """

    warmup = frozenset({"reconstruct"})

    def __init__(
        self,
        dims: Mapping[str, int],
        n_clusters: int,
        phases: Mapping[str, Mapping[str, Any]],
        optimizer: Callable[[Iterable[Tensor]], Optimizer],
        batch_size: int | str = 256,
        drop_last: bool = True,
        hidden: Sequence[int] = (256, 512, 1024),
        latent_dim: int = 1500,
        head_dim: int = 1024,
        contrast_weight: float = 0.01,
        balance_weight: float = 0.01,
        temperature: float = 1.0,
        cosine: bool = True,
        output: str = "linear",
        gradient_clip: float | None = None,
    ) -> None:
        check_widths(hidden, latent_dim=latent_dim, head_dim=head_dim)
        check_weights(contrast_weight=contrast_weight, balance_weight=balance_weight)
        validate.number("method.temperature", temperature, above=0)
        self.is_rectified = validate.one_of("method.output", output, ("relu", "linear")) == "relu"
        check_phases(type(self).__name__, phases, ("reconstruct", "contrast"))
        super().__init__(dims, n_clusters, phases, optimizer, batch_size, drop_last, gradient_clip=gradient_clip)
        self.contrast_weight, self.balance_weight = contrast_weight, balance_weight
        self.temperature, self.cosine = temperature, cosine
        self.autoencoders = AutoEncoders(dims.values(), [*hidden, latent_dim])
        self.cluster_head = nn.Sequential(nn.Linear(latent_dim, head_dim), nn.Linear(head_dim, n_clusters))

    def accept(self, data: DataModule) -> None:
        """Refuse batches of fewer samples than clusters, and features below 0 where decoders cannot give them."""
        require_samples(self, data, self.n_clusters, f"CVCL compares {self.n_clusters} clusters within a batch")
        if self.is_rectified:
            refuse_negative(data, "method.output=linear")

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """The terms of the present phase."""
        z = self._encode(batch)
        terms = {"reconstruction": reconstruction(self._decode(z), batch.modalities)}
        if self.phase.name == "contrast":
            q = [self._assigned(x) for x in z]
            with full_precision(self.device):
                p = [sharpen(x, distributed.all_reduce_sum(x.sum(0))) for x in q]
                terms |= {"label_contrast": self._contrast(p), "imbalance": self._imbalance(p, batch.total)}
        return terms

    def _encode(self, batch: Batch) -> list[Tensor]:
        return [F.relu(z) for z in self.autoencoders.encoder(batch.modalities)]

    def _decode(self, z: list[Tensor]) -> list[Tensor]:
        decoded = self.autoencoders.decoder(z)
        return [F.relu(y) if self.is_rectified else y for y in decoded]

    def _assigned(self, z: Tensor) -> Tensor:
        return to_float32(self.cluster_head(z)).softmax(1)

    def _contrast(self, p: list[Tensor]) -> Tensor:
        """Over pairs, of all processes' rows."""
        products = (distributed.all_reduce_sum(cluster_products(a, b)) for a, b in combinations(p, 2))
        each = [cluster_contrast(table, self.temperature, self.cosine) for table in products]
        return self.contrast_weight * sum_of(each)

    def _imbalance(self, p: list[Tensor], total: int) -> Tensor:
        """Of both modalities of every pair: of each as often as it is in one."""
        sizes = (distributed.all_reduce_sum(x.sum(0, True)) / total for x in p)
        return self.balance_weight * (len(p) - 1) * sum_of(map(cluster_imbalance, sizes))

    def assign_each(self, batch: Batch) -> Tensor:
        """The assignment q^m of every modality, M x B x K."""
        return torch.stack([self._assigned(z) for z in self._encode(batch)])

    def assign(self, batch: Batch) -> Tensor:
        """The mean over modalities of q^m, B x K."""
        return self.assignments(batch)[0]

    def assignments(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Both from the same q^m."""
        each = self.assign_each(batch)
        return each.mean(0), each

    def embed(self, batch: Batch) -> Tensor:
        """The mean over modalities of z^m, B x latent_dim."""
        return torch.stack([to_float32(z) for z in self._encode(batch)]).mean(0)
