"""GCFAgg: a common code in which samples attend to one another, contrasted with each modality's own."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import Optimizer

from cmc import distributed
from cmc.data.loader import Batch, InOrder
from cmc.functional.contrastive import nt_xent
from cmc.methods.autoencoder import reconstruction
from cmc.methods.base import sum_of
from cmc.methods.centred import ROWS
from cmc.methods.demands import check_phases, check_widths
from cmc.methods.fused import Fused
from cmc.nn.attention import PostNormLayer
from cmc.nn.autoencoder import AutoEncoders
from cmc.nn.kmeans_head import KMeansHead, check_kmeans
from cmc.nn.precision import full_precision, to_float32
from cmc.utils import validate


class GCFAgg(Fused):
    r"""Global and cross-view feature aggregation.

    An auto-encoder a modality gives z^m, of which a linear layer that all modalities share makes h^m of unit length.
    All z^m side by side go through a transformer layer in which samples attend to one another; another linear layer
    makes of that the common code c, of unit length. Phases:

    1. ``reconstruct``: the error of the ``reconstruction``, summed over modalities.
    2. ``contrast``: the same, and ``feature_contrast``, the sum over modalities of NT-Xent between h^m and c, in which
       the similarity of a negative is multiplied by 1 - S. S are the weights of the attention, after dropout, with
       their gradients: samples that attend to each other are pushed apart less.

    In training, the samples that one attends to are those of the batch. In evaluation they are a fixed bank of
    ``bank_size`` training samples, drawn by the seed and kept as codes whenever assignments are to be read, so that
    what a sample is assigned is a function of that sample alone. **In the release it is not**: it evaluates in batches
    of 256 in the file's order, where a sample's neighbours are often of its own class, and another order gives another
    result.

    Clusters are those of k-means on c. Modalities alone, and those that are there where others are missing, are
    assigned by the mean of their h^m, of unit length, which training draws to c; this is ours.

    Source: Yan et al., *GCFAgg: Global and Cross-View Feature Aggregation for Multi-View Clustering*, CVPR 2023. The
    release contrasts for 100 epochs, but 50 for Prokaryotic, 10 for Cifar10, 200 for Cifar100.

    Args:
        dims: modality -> width.
        n_clusters: K.
        phases: ``reconstruct`` and ``contrast``.
        optimizer: a function of the parameters.
        batch_size: the global batch.
        drop_last: leave an incomplete last batch out.
        hidden: widths of the encoders' hidden layers; decoders mirror them.
        latent_dim: width of z.
        feature_dim: width of h and c.
        attention_hidden: width between the two linear layers of the transformer layer.
        dropout: of the transformer layer.
        temperature: of the contrast.
        bank_size: samples of the bank, at most; there are no more than training samples.
        kmeans_restarts: starts of k-means.
        seed: of k-means, and of the bank.
        gradient_clip: a bound on the norm of the gradient.

    Attributes:
        bank: what samples attend to in evaluation, codes z of all modalities side by side.

    Raises:
        UserError: a value outside its range, or another phase.
    """

    warmup = frozenset({"reconstruct"})
    bank: Tensor

    def __init__(
        self,
        dims: Mapping[str, int],
        n_clusters: int,
        phases: Mapping[str, Mapping[str, Any]],
        optimizer: Callable[[Iterable[Tensor]], Optimizer],
        batch_size: int | str = 256,
        drop_last: bool = True,
        hidden: Sequence[int] = (500, 500, 2000),
        latent_dim: int = 512,
        feature_dim: int = 128,
        attention_hidden: int = 256,
        dropout: float = 0.1,
        temperature: float = 0.5,
        bank_size: int = 256,
        kmeans_restarts: int = 100,
        seed: int = 0,
        gradient_clip: float | None = None,
    ) -> None:
        check_widths(
            hidden,
            latent_dim=latent_dim,
            feature_dim=feature_dim,
            attention_hidden=attention_hidden,
            bank_size=bank_size,
        )
        validate.share("method.dropout", dropout)
        validate.number("method.temperature", temperature, above=0)
        check_kmeans(kmeans_restarts, seed)
        check_phases(type(self).__name__, phases, ("reconstruct", "contrast"))
        super().__init__(dims, n_clusters, phases, optimizer, batch_size, drop_last, gradient_clip=gradient_clip)
        self.temperature, self.bank_size = temperature, bank_size
        together = latent_dim * len(dims)
        self.autoencoders = AutoEncoders(dims.values(), [*hidden, latent_dim])
        self.feature_head = nn.Linear(latent_dim, feature_dim)
        self.aggregation = PostNormLayer(together, attention_hidden, dropout)
        self.common_head = nn.Linear(together, feature_dim)
        self.head = KMeansHead([feature_dim], n_clusters, kmeans_restarts, seed)
        self.register_buffer("bank", torch.empty(0, together))

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """The terms of the present phase."""
        z = self.encode(batch)
        terms = {"reconstruction": reconstruction(self.autoencoders.decoder(z), batch.modalities)}
        if self.phase.name == "contrast":
            h = [self._feature(x) for x in z]
            joined = torch.cat(z, 1)
            c, weights = self._common(joined, distributed.all_gather_rows(joined))
            with full_precision(self.device):
                every, keep = distributed.all_gather_rows(c), 1 - to_float32(weights)
                terms["feature_contrast"] = sum_of(
                    nt_xent(x, c, self.temperature, (distributed.all_gather_rows(x), every), batch.offset, keep=keep)
                    for x in h
                )
        return terms

    def encode(self, batch: Batch) -> list[Tensor]:
        """The code z of every modality, B x latent_dim."""
        codes: list[Tensor] = self.autoencoders.encoder(batch.modalities)
        return codes

    def _feature(self, z: Tensor) -> Tensor:
        """Give h."""
        return F.normalize(to_float32(self.feature_head(z)), dim=1)

    def _common(self, joined: Tensor, among: Tensor) -> tuple[Tensor, Tensor]:
        """Give c of codes side by side, and how they attend to those among them."""
        aggregated, weights = self.aggregation(joined, among)
        return F.normalize(to_float32(self.common_head(aggregated)), dim=1), weights

    def fuse(self, encoded: list[Tensor], present: Tensor | None = None) -> Tensor:
        """Give c, by the bank; where not all modalities are there, the mean h of those that are, of unit length."""
        if present is None:
            joined = torch.cat(encoded, 1)
            return self._common(joined, self.bank.to(joined))[0]
        h = torch.stack([self._feature(z) for z in encoded])
        return F.normalize(h.masked_fill(~present[:, :, None], 0).sum(0), dim=1)

    def settle(self, batches: InOrder) -> None:
        """Fill the bank, then find the centres."""
        rows = batches.spaced(ROWS)
        drawn = torch.randperm(rows.size, generator=torch.Generator().manual_seed(self.head.seed))[: self.bank_size]
        on_device = drawn.to(rows.modalities[0].device)
        chosen = Batch(tuple(x[on_device] for x in rows.modalities), rows.index[drawn])
        self.bank = distributed.broadcast(to_float32(torch.cat(self.encode(chosen), 1)))
        super().settle(batches)
