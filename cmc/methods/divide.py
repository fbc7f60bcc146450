"""DIVIDE: contrast with an encoder that follows slowly, whose targets are where random walks among samples lead."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import deepcopy
from itertools import pairwise, permutations
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from cmc import distributed
from cmc.data.loader import Batch
from cmc.data.module import DataModule
from cmc.functional.contrastive import soft_info_nce
from cmc.functional.walks import walk_targets
from cmc.methods.base import sum_of
from cmc.methods.demands import check_phases, check_widths, require_samples
from cmc.methods.fused import Fused
from cmc.nn.autoencoder import mlp
from cmc.nn.bottleneck import ModalityBatchNorm
from cmc.nn.dropout import RowDropout
from cmc.nn.kmeans_head import KMeansHead, check_kmeans
from cmc.nn.precision import full_precision, to_float32
from cmc.utils import validate


class DIVIDE(Fused):
    r"""Decoupled contrastive multi-view clustering with high-order random walks.

    Every modality has an encoder, z = f(x); a target encoder, t, that moves towards it before every step, t = momentum
    t + (1 - momentum) f, and has no gradient; and a predictor, p = g(z). All rows to unit length, the two terms are

    - ``across``: half the sum over ordered pairs of modalities of D(p^a, t^b; T^b), divided by M - 1;
    - ``within``: half the sum over modalities of D(z^m, t^m; T^m),

    where D is the cross-entropy of `cmc.functional.contrastive.soft_info_nce`. In the phase ``contrast`` T is the
    identity; in ``walk`` it is where random walks among the batch's t lead (`cmc.functional.walks.walk_targets`): other
    samples of the same cluster are no longer pushed away.

    Clusters are those of k-means on all r^m = g^m(t^m), of unit length, side by side. In place of a missing t^m stands
    the mean of what those that are there predict.

    Source: Lu et al., *Decoupled Contrastive Multi-View Clustering with High-Order Random Walks*, AAAI 2024, of two
    modalities. For more, the pairs are divided by the M - 1 that each takes part in, so that two are the paper's; that
    and the mean of several predictions are ours. The release divides D by the batch once more, which Adam does not
    see; it draws one order of the samples for all epochs, ours draws every epoch's; its learning rate is 5e-4 at 256
    samples a batch and grows with them, and warms up over 20 epochs by steps, ours by epochs (conf/method/divide.yaml;
    ``divide_released`` has its 1024 samples and standardised features). Predictors have biases and no normalisation.

    Args:
        dims: modality -> width.
        n_clusters: K.
        phases: ``contrast`` and ``walk``.
        optimizer: a function of the parameters.
        batch_size: the global batch.
        drop_last: leave an incomplete last batch out.
        hidden: widths of the encoders' hidden layers; batch normalisation and ReLU follow each, and dropout all but the
            last.
        latent_dim: width of z.
        predictor: widths of the predictors' hidden layers.
        dropout: share of the units that are dropped, by both encoders on their own.
        momentum: of the target encoders.
        temperature: of D.
        walk_temperature: of a walk's steps.
        walk_steps: of a walk.
        walk_alpha: the weight that stays with a sample itself.
        kmeans_restarts: starts of k-means.
        seed: of k-means.
        scheduler: a function of the optimiser, stepped once an epoch.
        gradient_clip: a bound on the norm of the gradient.

    Raises:
        UserError: a value outside its range, or another phase.
    """

    def __init__(
        self,
        dims: Mapping[str, int],
        n_clusters: int,
        phases: Mapping[str, Mapping[str, Any]],
        optimizer: Callable[[Iterable[Tensor]], Optimizer],
        batch_size: int | str = 256,
        drop_last: bool = True,
        hidden: Sequence[int] = (1024, 1024, 1024),
        latent_dim: int = 128,
        predictor: Sequence[int] = (512,),
        dropout: float = 0.2,
        momentum: float = 0.98,
        temperature: float = 0.5,
        walk_temperature: float = 0.1,
        walk_steps: int = 5,
        walk_alpha: float = 0.5,
        kmeans_restarts: int = 10,
        seed: int = 0,
        scheduler: Callable[[Optimizer], LRScheduler] | None = None,
        gradient_clip: float | None = None,
    ) -> None:
        check_widths(hidden, latent_dim=latent_dim, **{f"predictor[{i}]": width for i, width in enumerate(predictor)})
        validate.share("method.dropout", dropout)
        validate.number("method.temperature", temperature, above=0)
        validate.number("method.walk_temperature", walk_temperature, above=0)
        validate.whole("method.walk_steps", walk_steps, least=1)
        for key, value in (("momentum", momentum), ("walk_alpha", walk_alpha)):
            validate.require(f"method.{key}", value, 0 <= value <= 1, "a number from 0 to 1")
        check_kmeans(kmeans_restarts, seed)
        check_phases("divide", phases, ("contrast", "walk"))
        super().__init__(dims, n_clusters, phases, optimizer, batch_size, drop_last, scheduler, gradient_clip)
        self.momentum, self.temperature = momentum, temperature
        self.walk = {"temperature": walk_temperature, "steps": walk_steps, "alpha": walk_alpha}
        self.encoders = nn.ModuleList(_encoder([d, *hidden, latent_dim], dropout) for d in dims.values())
        self.targets = deepcopy(self.encoders).requires_grad_(False)
        self.predictors = nn.ModuleList(mlp([latent_dim, *predictor, latent_dim]) for _ in dims)
        self.head = KMeansHead([latent_dim * len(dims)], n_clusters, kmeans_restarts, seed)

    def accept(self, data: DataModule) -> None:
        """Refuse batches of one sample."""
        require_samples(self, data, 2, "batch normalisation needs two samples")

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        """Move the target encoders towards the others, as the last step left them."""
        for target, own in zip(self.targets.parameters(), self.encoders.parameters(), strict=True):
            target.data.lerp_(own.data, 1 - self.momentum)

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """Both terms."""
        z = _each(self.encoders, batch.modalities)
        p = [F.normalize(x, dim=1) for x in _each(self.predictors, z)]
        with torch.no_grad():
            t = [F.normalize(x, dim=1) for x in self.encode(batch)]
            keys = [distributed.all_gather_rows(x) for x in t]
        with full_precision(self.device):
            weights = [self._weights(x, batch) for x in keys]
            pairs = list(permutations(range(len(z)), 2))
            across = sum_of(soft_info_nce(p[a], keys[b], weights[b], self.temperature) for a, b in pairs)
            own = zip(z, keys, weights, strict=True)
            within = sum_of(soft_info_nce(F.normalize(x, dim=1), y, w, self.temperature) for x, y, w in own)
            return {"across": across / (2 * (len(z) - 1)), "within": within / 2}

    def _weights(self, keys: Tensor, batch: Batch) -> Tensor:
        """T of this process's rows, n x N."""
        if self.phase.name == "contrast":
            whole = torch.eye(len(keys), dtype=keys.dtype, device=keys.device)
        else:
            whole = walk_targets(keys, **self.walk)  # type: ignore[arg-type]
        return whole[batch.offset : batch.offset + batch.size]

    def encode(self, batch: Batch) -> list[Tensor]:
        """What the target encoders make of every modality, t, B x latent_dim."""
        return _each(self.targets, batch.modalities)

    def fuse(self, encoded: list[Tensor], present: Tensor | None = None) -> Tensor:
        """All r^m of unit length side by side, and together of unit length, B x (M latent_dim)."""
        if present is not None:
            told = torch.stack(_each(self.predictors, encoded)).masked_fill(~present[:, :, None], 0)
            guess = told.sum(0) / present.sum(0)[:, None]
            encoded = [torch.where(there[:, None], t, guess) for t, there in zip(encoded, present, strict=True)]
        r = [F.normalize(x, dim=1) for x in _each(self.predictors, encoded)]
        return F.normalize(torch.cat(r, 1), dim=1)


def _each(networks: nn.ModuleList, rows: Iterable[Tensor]) -> list[Tensor]:
    return [to_float32(network(x)) for network, x in zip(networks, rows, strict=True)]


def _encoder(widths: Sequence[int], dropout: float) -> nn.Sequential:
    """Linear layers without bias, normalised; the last one's output has no learnt scale."""
    layers: list[nn.Module] = []
    last = len(widths) - 2
    for i, (n_in, n_out) in enumerate(pairwise(widths)):
        layers += [nn.Linear(n_in, n_out, bias=False), ModalityBatchNorm(n_out, 1, affine=i < last)]
        layers += [nn.ReLU()] if i < last else []
        layers += [RowDropout(dropout)] if i < last - 1 else []
    return nn.Sequential(*layers)
