"""Clusters for methods that learn codes and no assignment: k-means on the codes of all modalities side by side."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cmc import distributed
from cmc.functional.kmeans import column_range, kmeans_centres, memberships
from cmc.utils import validate

SCALES = ("none", "minmax", "unit")


class KMeansHead(nn.Module):
    """k-means on the concatenation of every modality's codes.

    A sample's cluster is that of the nearest centre, and how probable each is `cmc.functional.kmeans.memberships` says.
    A modality alone is held against its own part of the centres, several against theirs: what a modality says depends
    on no other, and all together say what k-means does.

    Args:
        widths: of the modalities' codes.
        n_clusters: K.
        restarts: starts of k-means.
        seed: of the starts.
        scale: ``none``; ``minmax``, every column to [0, 1]; ``unit``, every modality's code to length 1.

    Attributes:
        centres: K x D, D the sum of the widths, of scaled codes.
        variance: of a column within the clusters, the mean over those that vary.
        low: D, the columns' least values, by which ``minmax`` scales.
        spread: D, and their spreads, divided by the modalities' weights where there are any.
    """

    centres: Tensor
    variance: Tensor
    low: Tensor
    spread: Tensor

    def __init__(self, widths: Sequence[int], n_clusters: int, restarts: int, seed: int, scale: str = "none") -> None:
        super().__init__()
        self.widths, self.restarts, self.seed, self.scale = list(widths), restarts, seed, scale
        total = sum(self.widths)
        self.register_buffer("centres", torch.zeros(n_clusters, total))
        self.register_buffer("variance", torch.ones(()))
        self.register_buffer("low", torch.zeros(total))
        self.register_buffer("spread", torch.ones(total))

    def joined(self, codes: Sequence[Tensor]) -> Tensor:
        """The modalities' codes, scaled, side by side: B x D."""
        codes = [F.normalize(z, dim=1) for z in codes] if self.scale == "unit" else codes
        return (torch.cat(list(codes), 1) - self.low) / self.spread

    def fit(self, codes: Sequence[Tensor], weights: Tensor | None = None) -> None:
        """Find the centres of codes, N x width a modality: on the first process, for all.

        Args:
            codes: all samples'.
            weights: M, that scaled codes are multiplied by; None for 1.
        """
        if self.scale == "minmax":
            low, spread = column_range(torch.cat(list(codes), 1))
            self.low.copy_(distributed.broadcast(low))
            self.spread.copy_(distributed.broadcast(spread))
        if weights is not None:
            own = torch.ones_like(self.spread) if self.scale != "minmax" else self.spread
            each = torch.tensor(self.widths, device=own.device)
            self.spread.copy_(own / weights.to(own).repeat_interleave(each))
        if distributed.is_rank_zero():
            x = self.joined(codes)
            self.centres.copy_(kmeans_centres(x, len(self.centres), self.restarts, self.seed))
            varying = (x.amax(0) > x.amin(0)).sum().clamp_min(1)
            self.variance.copy_(self._squares(x).sum(0).amin(1).mean() / varying)
        distributed.broadcast(self.centres)
        distributed.broadcast(self.variance)

    def assign(self, codes: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Probabilities of the clusters by all modalities together, B x K, and by each alone, M x B x K."""
        squares = self._squares(self.joined(codes))
        return self._probable(squares.sum(0)), self._probable(squares)

    def assign_partly(self, codes: Sequence[Tensor], present: Tensor) -> Tensor:
        """Probabilities by the modalities that are there (M x B, true where one is), B x K."""
        squares = self._squares(self.joined(codes))
        return self._probable(squares.masked_fill(~present[:, :, None], 0).sum(0))

    def _squares(self, x: Tensor) -> Tensor:
        """Squared distances of scaled codes to the centres in every modality, M x B x K, in double precision."""
        blocks = zip(*(torch.split(y.double(), self.widths, 1) for y in (x, self.centres)), strict=True)
        return torch.stack([torch.cdist(own, centres).square() for own, centres in blocks])

    def _probable(self, squares: Tensor) -> Tensor:
        return memberships(squares, self.variance.double()).to(self.centres)


def check_kmeans(restarts: int, seed: int, scale: str = "none") -> None:
    """Refuse settings of a method that the head cannot take.

    Raises:
        UserError: a value outside its range.
    """
    validate.whole("method.kmeans_restarts", restarts, least=1)
    validate.seed("method.seed", seed)
    validate.one_of("method.scale_codes", scale, SCALES)
