"""SEM: contrast between modalities, weighed by how much their clusters have in common, in rounds."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import combinations
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import Optimizer

from cmc import distributed
from cmc.data.loader import Batch, InOrder
from cmc.functional.agreement import agreement_tables, agreement_weights
from cmc.functional.contrastive import nt_xent
from cmc.functional.kmeans import kmeans_centres, nearest
from cmc.methods.autoencoder import reconstruction
from cmc.methods.base import sum_of
from cmc.methods.centred import Centred
from cmc.methods.demands import check_phases, check_weights, check_widths
from cmc.nn.autoencoder import AutoEncoders
from cmc.nn.kmeans_head import KMeansHead, check_kmeans
from cmc.nn.precision import full_precision, to_float32
from cmc.utils import validate


class SEM(Centred):
    r"""Self-weighted multi-view contrastive learning with reconstruction regularisation.

    An auto-encoder a modality gives h^m, and a linear layer of the modality's own z^m of unit length. Phases:

    1. ``reconstruct``: the error of the ``reconstruction``, summed over modalities.
    2. ``contrast``: :math:`\sum_{a,b} W_{ab} NTX(z^a, z^b)` over all ordered pairs of modalities, and lambda times the
       error of the reconstruction. The pairs of a modality with itself, whose positives are constant, spread its
       samples apart.

    W_ab = e^NMI - 1, of k-means in either modality: on h before the first round, on z before every later one. A round
    is ``refresh_every`` epochs.

    Clusters are those of k-means on all z^m side by side; a modality alone is held against its part of the centres.

    Source: Xu et al., *Self-Weighted Contrastive Learning among Multiple Views for Mitigating Representation
    Degeneration*, NeurIPS 2023: its triple of InfoNCE, class mutual information and auto-encoders. The release makes a
    new Adam for every epoch of the second phase (``restart_optimizer``); epochs a round times rounds are 300 x 1 for
    DHA, 50 x 4 for CCV, 25 x 1 for YoutubeVideo and 25 x 4 for NUS-WIDE, of which ours is CCV's.

    Args:
        dims: modality -> width.
        n_clusters: K.
        phases: ``reconstruct`` and ``contrast``.
        optimizer: a function of the parameters.
        batch_size: the global batch.
        drop_last: leave an incomplete last batch out.
        hidden: widths of the encoders' hidden layers; decoders mirror them.
        latent_dim: width of h.
        feature_dim: width of z.
        temperature: of the contrast.
        reconstruction_weight: lambda.
        self_pairs: whether a modality is contrasted with itself.
        refresh_every: epochs of a round.
        restart_optimizer: whether the optimiser forgets what it remembers before every epoch of ``contrast``.
        kmeans_restarts: starts of every k-means.
        seed: of k-means.
        gradient_clip: a bound on the norm of the gradient.

    Attributes:
        pulls: M x M, the weights W of the present round.

    Raises:
        UserError: a value outside its range, or another phase.
    """

    warmup = frozenset({"reconstruct"})
    pulls: Tensor

    def __init__(
        self,
        dims: Mapping[str, int],
        n_clusters: int,
        phases: Mapping[str, Mapping[str, Any]],
        optimizer: Callable[[Iterable[Tensor]], Optimizer],
        batch_size: int | str = 256,
        drop_last: bool = False,
        hidden: Sequence[int] = (500, 500, 2000),
        latent_dim: int = 512,
        feature_dim: int = 128,
        temperature: float = 1.0,
        reconstruction_weight: float = 1.0,
        self_pairs: bool = True,
        refresh_every: int = 50,
        restart_optimizer: bool = False,
        kmeans_restarts: int = 100,
        seed: int = 0,
        gradient_clip: float | None = None,
    ) -> None:
        check_widths(hidden, latent_dim=latent_dim, feature_dim=feature_dim, refresh_every=refresh_every)
        check_weights(reconstruction_weight=reconstruction_weight)
        check_kmeans(kmeans_restarts, seed)
        validate.number("method.temperature", temperature, above=0)
        check_phases(type(self).__name__, phases, ("reconstruct", "contrast"))
        super().__init__(dims, n_clusters, phases, optimizer, batch_size, drop_last, gradient_clip=gradient_clip)
        self.temperature, self.reconstruction_weight, self.self_pairs = temperature, reconstruction_weight, self_pairs
        self.refresh_every, self.restart_optimizer = refresh_every, restart_optimizer
        self.autoencoders = AutoEncoders(dims.values(), [*hidden, latent_dim])
        self.feature_heads = nn.ModuleList(nn.Linear(latent_dim, feature_dim) for _ in dims)
        self.head = KMeansHead([feature_dim] * len(dims), n_clusters, kmeans_restarts, seed)
        self.register_buffer("pulls", torch.zeros(len(dims), len(dims)))

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """The terms of the present phase."""
        h = self._encode(batch)
        error = reconstruction(self.autoencoders.decoder(h), batch.modalities)
        if self.phase.name == "reconstruct":
            return {"reconstruction": error}
        z = self._features(h)
        with full_precision(self.device):
            weighted = self.reconstruction_weight * error
            return {"reconstruction": weighted, "feature_contrast": self._contrast(z, batch.offset)}

    def codes(self, batch: Batch) -> list[Tensor]:
        """The feature z of every modality, B x feature_dim, of unit length."""
        return self._features(self._encode(batch))

    def _encode(self, batch: Batch) -> list[Tensor]:
        h: list[Tensor] = self.autoencoders.encoder(batch.modalities)
        return h

    def _features(self, h: list[Tensor]) -> list[Tensor]:
        heads = zip(self.feature_heads, h, strict=True)
        return [F.normalize(to_float32(head(x)), dim=1) for head, x in heads]

    def _contrast(self, z: list[Tensor], offset: int) -> Tensor:
        """Over ordered pairs, this process's rows among those of the global batch; both orders of two are the same."""
        everywhere = [distributed.all_gather_rows(x) for x in z]
        pairs = [(a, b, 2) for a, b in combinations(range(len(z)), 2)]
        pairs += [(m, m, 1) for m in range(len(z))] if self.self_pairs else []
        return sum_of(
            times * self.pulls[a, b] * nt_xent(z[a], z[b], self.temperature, (everywhere[a], everywhere[b]), offset)
            for a, b, times in pairs
        )

    def refresh(self, phase: str, epoch: int, batches: InOrder) -> None:
        """Before every round the weights, of k-means on h, and from the second round on of z."""
        if phase == "contrast" and epoch % self.refresh_every == 0:
            own = self.all_codes(batches, self._encoded if epoch == 0 else self.codes)
            self.pulls.copy_(distributed.broadcast(self._weights(own).to(self.pulls)))

    def _encoded(self, batch: Batch) -> list[Tensor]:
        return [to_float32(x) for x in self._encode(batch)]

    def _weights(self, codes: list[Tensor]) -> Tensor:
        """Of k-means in every modality; on the first process, whose they are."""
        if not distributed.is_rank_zero():
            return torch.zeros_like(self.pulls)
        centres = (kmeans_centres(x, self.n_clusters, self.head.restarts, self.head.seed) for x in codes)
        labels = torch.stack([nearest(x, own) for x, own in zip(codes, centres, strict=True)])
        return agreement_weights(agreement_tables(labels, self.n_clusters))

    def on_train_epoch_start(self) -> None:
        """As for every method; then make the optimiser forget, where it is asked for."""
        super().on_train_epoch_start()
        if self.restart_optimizer and self.phase.name == "contrast":
            optimizer = self.optimizers(use_pl_optimizer=False)
            assert isinstance(optimizer, Optimizer)
            optimizer.state.clear()
