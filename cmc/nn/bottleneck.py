"""One encoder that all modalities share, with a bottleneck z and heads that read it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cmc import distributed
from cmc.nn.precision import to_float32

_EPS = 1e-5  # batch norm's


class ModalityBatchNorm(nn.Module):
    """Batch normalisation that modalities share, each with running statistics of its own.

    Args:
        width: of its input.
        n_modalities: how many running statistics are kept; 1 makes the modalities share them too.
        momentum: of the running statistics.
    """

    running_mean: Tensor
    running_var: Tensor

    def __init__(self, width: int, n_modalities: int, momentum: float = 0.1) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.ones(width)), nn.Parameter(torch.zeros(width))
        self.momentum = momentum
        self.register_buffer("running_mean", torch.zeros(n_modalities, width))
        self.register_buffer("running_var", torch.ones(n_modalities, width))

    def forward(self, x: Tensor, modality: int) -> Tensor:
        """Normalise x (B x width) of a modality by its batch in training, by its running statistics in evaluation."""
        own = modality % self.running_mean.shape[0]
        mean, var = self.running_mean[own], self.running_var[own]
        if self.training and distributed.world_size() > 1:
            return self._over_processes(x, mean, var)
        return F.batch_norm(x, mean, var, self.weight, self.bias, self.training, self.momentum)

    def _over_processes(self, x: Tensor, running_mean: Tensor, running_var: Tensor) -> Tensor:
        """Normalise by the mean and variance of all processes' rows; shares may differ in size."""
        rows = x.float() if x.dtype in (torch.float16, torch.bfloat16) else x
        sums = distributed.all_reduce_sum(torch.cat((rows.sum(0), rows.new_tensor([len(rows)]))))
        count, mean = sums[-1].detach(), sums[:-1] / sums[-1].detach()
        var = distributed.all_reduce_sum((rows - mean).square().sum(0)) / count
        with torch.no_grad():
            running_mean.lerp_(mean.to(running_mean.dtype), self.momentum)
            running_var.lerp_((var * count / (count - 1)).to(running_var.dtype), self.momentum)
        return ((rows - mean) * (var + _EPS).rsqrt() * self.weight + self.bias).to(x.dtype)


class SharedEncoder(nn.Module):
    """Blocks of linear layer, batch normalisation and ReLU that all modalities pass through, one after the other.

    Args:
        width: of input and output.
        depth: how many blocks.
        n_statistics: running statistics of each batch normalisation; see `ModalityBatchNorm`.
    """

    def __init__(self, width: int, depth: int, n_statistics: int) -> None:
        super().__init__()
        self.linears = nn.ModuleList(nn.Linear(width, width) for _ in range(depth))
        self.norms = nn.ModuleList(ModalityBatchNorm(width, n_statistics) for _ in range(depth))

    def forward(self, x: Tensor, modality: int) -> Tensor:
        """Map x (B x width) of a modality to the trunk (B x width)."""
        for linear, norm in zip(self.linears, self.norms, strict=True):
            x = F.relu(norm(linear(x), modality))
        return x


class PrincipalComponents(nn.Module):
    """Rows on the leading principal components, scaled as a whole to mean square 1 (not whitened).

    Args:
        n_in: width of the rows.
        n_out: components kept; those beyond the data's rank are 0. None keeps the rows as they are.
    """

    mean: Tensor
    basis: Tensor

    def __init__(self, n_in: int, n_out: int | None) -> None:
        super().__init__()
        self.width = n_in if n_out is None else min(n_in, n_out)
        self.keeps = n_out is not None
        self.register_buffer("mean", torch.zeros(n_in if self.keeps else 0))
        self.register_buffer("basis", torch.zeros(n_in, self.width) if self.keeps else torch.zeros(0))

    def fit(self, count: int, total: Tensor, products: Tensor) -> None:
        """Take the components from sums over samples.

        Args:
            count: samples N.
            total: their sum, n_in.
            products: the sum of their outer products, n_in x n_in.
        """
        if not self.keeps:
            return
        mean = total.double() / count
        covariance = products.double() / count - torch.outer(mean, mean)
        variances, vectors = torch.linalg.eigh(covariance.cpu())
        variances, vectors = variances.flip(0)[: self.width], vectors.flip(1)[:, : self.width]
        kept = variances > variances[0] * 1e-10
        scale = (variances[kept].sum() / self.width).sqrt()
        signs = vectors.gather(0, vectors.abs().argmax(0, keepdim=True)).sign()
        self.mean.copy_(mean)
        self.basis.copy_(torch.where(kept, vectors * signs / scale, torch.zeros_like(vectors)))

    def forward(self, x: Tensor) -> Tensor:
        """Map x (B x n_in) to its components (B x width)."""
        return (x - self.mean) @ self.basis if self.keeps else x


class Bottleneck(NamedTuple):
    """What the network makes of one modality, in full precision: z's distribution, z, and the logits of both heads."""

    mean: Tensor
    deviation: Tensor
    z: Tensor
    cluster: Tensor
    overcluster: Tensor


class BottleneckNetwork(nn.Module):
    """A projection a modality, the shared encoder, z and both heads.

    Args:
        widths: of the modalities as they come in.
        width: of the encoder.
        n_clusters: K.
        n_over: clusters of the over-clustering head.
        depth: blocks of the encoder.
        project: whether projections stand in front.
        head_input: ``z`` or ``trunk``.
        n_statistics: batch norm's running statistics.
    """

    def __init__(
        self,
        widths: Iterable[int],
        width: int,
        n_clusters: int,
        n_over: int,
        depth: int,
        project: bool,
        head_input: str,
        n_statistics: int,
    ) -> None:
        super().__init__()
        self.head_input = head_input
        self.projections = nn.ModuleList(nn.Linear(d, width) if project else nn.Identity() for d in widths)
        self.encoder = SharedEncoder(width, depth, n_statistics)
        self.mean, self.rho = nn.Linear(width, width), nn.Linear(width, width)
        self.cluster_head, self.overcluster_head = nn.Linear(width, n_clusters), nn.Linear(width, n_over)

    def forward(self, x: Tensor, modality: int, noise: Tensor | None = None) -> Bottleneck:
        """Pass a modality (B x its width) through; z is its mean, or drawn by standard normal ``noise``, B x width."""
        trunk = self.encoder(self.projections[modality](x), modality)
        mean, deviation = to_float32(self.mean(trunk)), F.softplus(to_float32(self.rho(trunk))) + 1e-7
        z = mean if noise is None else mean + deviation * noise
        read = z if self.head_input == "z" else trunk
        cluster, overcluster = (to_float32(head(read)) for head in (self.cluster_head, self.overcluster_head))
        return Bottleneck(mean, deviation, z, cluster, overcluster)


def initialise_normal(module: nn.Module) -> None:
    """Draw the weights of a linear layer from N(0, 0.02^2) and set its bias to 0; for ``nn.Module.apply``."""
    if isinstance(module, nn.Linear):
        nn.init.normal_(module.weight, std=0.02)
        nn.init.zeros_(module.bias)
