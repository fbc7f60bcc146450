"""COMPLETER: codes of two modalities that share information, and predictors that recover a missing one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import combinations, permutations
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import Optimizer

from cmc import distributed
from cmc.data.loader import Batch, InOrder
from cmc.data.module import DataModule
from cmc.functional.mutual_information import information_and_entropy, joint_table
from cmc.methods.autoencoder import reconstruction
from cmc.methods.base import sum_of
from cmc.methods.centred import Centred
from cmc.methods.demands import check_phases, check_weights, check_widths, refuse_negative, require_samples
from cmc.nn.autoencoder import mlp
from cmc.nn.bottleneck import ModalityBatchNorm
from cmc.nn.kmeans_head import KMeansHead, check_kmeans
from cmc.nn.precision import full_precision, to_float32
from cmc.utils import validate


class Completer(Centred):
    r"""Incomplete multi-view clustering via contrastive prediction.

    An auto-encoder a modality, whose code z^m is a softmax over its D entries. The terms of the two phases:

    1. ``contrast``: ``information``, minus the mutual information of two modalities' codes, as if they were clusters,
       and alpha times their entropies (`cmc.functional.mutual_information.information_and_entropy`); and lambda_r times
       the error of the ``reconstruction``, summed over modalities.
    2. ``predict``: the same, and lambda_p times the error of the ``prediction`` of z^b from z^a by a network of its
       own, in both directions; gradients pass into both codes.

    Of M modalities, pairs are summed and divided by M - 1, the pairs that each takes part in, so that the weights mean
    the same for any M, and two modalities are the paper's (ours; its successor DCP weighs pairs by their numbers).

    Clusters are those of k-means on all codes side by side. The code of a missing modality is the mean of what those
    that are there predict, from the phase ``predict`` on; before, the others speak without it.

    Source: Lin et al., *COMPLETER: Incomplete Multi-view Clustering via Contrastive Prediction*, CVPR 2021. In the
    release decoders end in batch normalisation and ReLU, and features are min-max scaled: ``completer_released``.

    Args:
        dims: modality -> width.
        n_clusters: K.
        phases: ``contrast`` and ``predict``.
        optimizer: a function of the parameters.
        batch_size: the global batch.
        drop_last: leave an incomplete last batch out.
        hidden: widths of the encoders' hidden layers; decoders mirror them. Batch normalisation and ReLU follow each.
        latent_dim: D; the authors take 128 for Caltech101-20 and Scene-15, 64 for NoisyMNIST and LandUse-21.
        predictor: widths of a predictor's hidden layers.
        alpha: weight of the entropies; the information is worth 1 / (1 + 2 alpha) of the term's range.
        reconstruction_weight: lambda_r.
        prediction_weight: lambda_p.
        joint: ``symmetric``, the joint table is averaged with its transpose, as in the paper; or ``plain``, without
            the false optima of that (`cmc.functional.mutual_information.joint_table`).
        output: what the decoders end in: ``linear``, for any features; or ``relu``, as in the release, for features of
            at least 0.
        kmeans_restarts: starts of k-means.
        seed: of k-means.
        gradient_clip: a bound on the norm of the gradient.

    Raises:
        UserError: a value outside its range, or another phase.
    """

    recovers: Tensor

    def __init__(
        self,
        dims: Mapping[str, int],
        n_clusters: int,
        phases: Mapping[str, Mapping[str, Any]],
        optimizer: Callable[[Iterable[Tensor]], Optimizer],
        batch_size: int | str = 256,
        drop_last: bool = False,
        hidden: Sequence[int] = (1024, 1024, 1024),
        latent_dim: int = 128,
        predictor: Sequence[int] = (128, 256, 128, 256, 128),
        alpha: float = 9.0,
        reconstruction_weight: float = 0.1,
        prediction_weight: float = 0.1,
        joint: str = "symmetric",
        output: str = "linear",
        kmeans_restarts: int = 10,
        seed: int = 0,
        gradient_clip: float | None = None,
    ) -> None:
        check_widths(hidden, latent_dim=latent_dim, **{f"predictor[{i}]": width for i, width in enumerate(predictor)})
        check_weights(alpha=alpha, reconstruction_weight=reconstruction_weight, prediction_weight=prediction_weight)
        check_kmeans(kmeans_restarts, seed)
        self.is_symmetric = validate.one_of("method.joint", joint, ("symmetric", "plain")) == "symmetric"
        self.is_rectified = validate.one_of("method.output", output, ("relu", "linear")) == "relu"
        check_phases("completer", phases, ("contrast", "predict"))
        super().__init__(dims, n_clusters, phases, optimizer, batch_size, drop_last, gradient_clip=gradient_clip)
        self.alpha, self.weights = alpha, (reconstruction_weight, prediction_weight)
        way = [*hidden, latent_dim]
        self.encoders = nn.ModuleList(mlp([d, *way], norm=True, last=[nn.Softmax(1)]) for d in dims.values())
        self.decoders = nn.ModuleList(mlp([*way[::-1], d], norm=True, last=self._end(d)) for d in dims.values())
        self.directions = list(permutations(range(len(dims)), 2))
        ways = ([latent_dim, *predictor, latent_dim] for _ in self.directions)
        self.predictors = nn.ModuleList(mlp(each, norm=True, last=[nn.Softmax(1)]) for each in ways)
        self.head = KMeansHead([latent_dim] * len(dims), n_clusters, kmeans_restarts, seed)
        self.register_buffer("recovers", torch.tensor(False))

    def _end(self, width: int) -> list[nn.Module]:
        return [ModalityBatchNorm(width, 1), nn.ReLU()] if self.is_rectified else []

    def accept(self, data: DataModule) -> None:
        """Refuse batches of one sample, and features below 0 where decoders cannot give them."""
        require_samples(self, data, 2, "batch normalisation needs two samples")
        if self.is_rectified:
            refuse_negative(data, "method.output=linear")

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """The terms of the present phase."""
        z = self.codes(batch)
        terms = {
            "information": self._information(z, batch.share),
            "reconstruction": self.weights[0] * reconstruction(self._decode(z), batch.modalities),
        }
        if self.phase.name == "predict":
            terms["prediction"] = self.weights[1] * self._prediction_error(z)
        return terms

    def codes(self, batch: Batch) -> list[Tensor]:
        """The code z of every modality, B x D, of rows that sum to 1."""
        return [to_float32(encoder(x)) for encoder, x in zip(self.encoders, batch.modalities, strict=True)]

    def _decode(self, z: list[Tensor]) -> list[Tensor]:
        return [decoder(x) for decoder, x in zip(self.decoders, z, strict=True)]

    def _information(self, z: list[Tensor], share: float) -> Tensor:
        """Over pairs, of all processes' rows, of which a ``share`` is here."""
        with full_precision(self.device):
            tables = (joint_table(a, b, self.is_symmetric) * share for a, b in combinations(z, 2))
            each = [information_and_entropy(distributed.all_reduce_sum(table), self.alpha) for table in tables]
            return sum_of(each) / (len(z) - 1)

    def _prediction_error(self, z: list[Tensor]) -> Tensor:
        predicted = self._predictions(z)
        return sum_of(F.mse_loss(predicted[a, b], z[b]) for a, b in self.directions) / (len(z) - 1)

    def _predictions(self, z: list[Tensor]) -> dict[tuple[int, int], Tensor]:
        """What every modality says of every other one's code, (from, to) -> B x D."""
        ways = zip(self.directions, self.predictors, strict=True)
        return {(a, b): to_float32(network(z[a])) for (a, b), network in ways}

    def refresh(self, phase: str, epoch: int, batches: InOrder) -> None:
        """From ``predict`` on, predictors recover what is missing."""
        if phase == "predict":
            self.recovers.fill_(True)

    def assignments(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Those of all codes, and of each modality with the codes that it predicts of the others."""
        z = self.codes(batch)
        together, each = self.head.assign(z)
        if self.recovers:
            predicted = self._predictions(z)
            alone = ([predicted[m, b] if b != m else z[m] for b in range(len(z))] for m in range(len(z)))
            each = torch.stack([self.head.assign(codes)[0] for codes in alone])
        return together, each

    def assign_partly(self, batch: Batch, present: Tensor) -> Tensor:
        """Assignments where the codes of missing modalities are the mean of what those that are there predict."""
        if not self.recovers:
            return super().assign_partly(batch, present)
        z = self.codes(batch)
        predicted = self._predictions(z)
        recovered = []
        for b, own in enumerate(z):
            told = torch.stack([present[a][:, None] * predicted[a, b] for a in range(len(z)) if a != b]).sum(0)
            others = present.sum(0) - present[b].long()
            recovered.append(torch.where(present[b][:, None], own, told / others.clamp_min(1)[:, None]))
        return self.head.assign(recovered)[0]
