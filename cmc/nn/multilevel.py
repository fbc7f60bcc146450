"""The network of CMMC: from each modality low-level features, from these high-level ones and assignments."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cmc.nn.autoencoder import AutoEncoders
from cmc.nn.precision import to_float32


class MultiLevelNetwork(nn.Module):
    """One auto-encoder a modality, and two heads that all modalities share.

    Args:
        dims: widths of the modalities.
        hidden: widths of the encoder's hidden layers; the decoder mirrors them.
        latent_dim: width of the code z.
        feature_dim: width of the feature h.
        n_clusters: K.
        shapes: of the modalities whose rows are pictures; see `cmc.nn.autoencoder.AutoEncoders`.
    """

    def __init__(
        self,
        dims: Iterable[int],
        hidden: Sequence[int],
        latent_dim: int,
        feature_dim: int,
        n_clusters: int,
        shapes: Sequence[Sequence[int] | None] = (),
    ) -> None:
        super().__init__()
        self.autoencoders = AutoEncoders(dims, [*hidden, latent_dim], shapes)
        self.feature_head = nn.Linear(latent_dim, feature_dim)
        self.cluster_head = nn.Linear(latent_dim, n_clusters)

    def encode(self, rows: Sequence[Tensor]) -> list[Tensor]:
        """Give z of every modality, B x latent_dim, from its rows, B x its width."""
        codes: list[Tensor] = self.autoencoders.encoder(rows)
        return codes

    def decode(self, codes: Sequence[Tensor]) -> list[Tensor]:
        """Give every modality's rows from its z."""
        rows: list[Tensor] = self.autoencoders.decoder(codes)
        return rows

    def feature(self, z: Tensor) -> Tensor:
        """Give h of one modality, B x feature_dim, of unit length."""
        return F.normalize(to_float32(self.feature_head(z)), dim=1)

    def logits(self, z: Tensor) -> Tensor:
        """Give the logits of one modality's assignment, B x K."""
        return to_float32(self.cluster_head(z))

    def features(self, rows: Sequence[Tensor]) -> list[Tensor]:
        """Give h of every modality from its rows."""
        return [self.feature(z) for z in self.encode(rows)]

    def assign(self, rows: Sequence[Tensor]) -> Tensor:
        """Give q of every modality from its rows, M x B x K."""
        return torch.stack([self.logits(z).softmax(1) for z in self.encode(rows)])
