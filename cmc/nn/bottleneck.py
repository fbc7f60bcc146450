"""One encoder that all modalities share, with a bottleneck z and heads."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cmc import distributed
from cmc.nn.pictures import PictureEncoder
from cmc.nn.precision import to_float32
from cmc.nn.stacked import is_stacking

_EPS = 1e-5  # batch norm's
MOMENTUM = 0.1  # of its running statistics


class ModalityBatchNorm(nn.Module):
    """Batch normalisation that modalities share, each with running statistics of its own.

    Args:
        width: of its input.
        n_modalities: how many running statistics are kept; 1 makes the modalities share them too.
        affine: whether a learnt scale and shift follow.
    """

    weight: Tensor | None
    bias: Tensor | None
    running_mean: Tensor
    running_var: Tensor

    def __init__(self, width: int, n_modalities: int, affine: bool = True) -> None:
        super().__init__()
        self.register_parameter("weight", nn.Parameter(torch.ones(width)) if affine else None)
        self.register_parameter("bias", nn.Parameter(torch.zeros(width)) if affine else None)
        self.register_buffer("running_mean", torch.zeros(n_modalities, width))
        self.register_buffer("running_var", torch.ones(n_modalities, width))

    def forward(self, x: Tensor, modality: int = 0) -> Tensor:
        """Normalise x (B x width) of a modality by its batch in training, by its running statistics in evaluation."""
        own = modality % self.running_mean.shape[0]
        mean, var = self.running_mean[own], self.running_var[own]
        if self.training and distributed.world_size() > 1:
            return self._over_processes(x, mean, var)
        if not (self.training and is_stacking()):
            return F.batch_norm(x, mean, var, self.weight, self.bias, self.training, MOMENTUM)
        means, variances = mean.clone(), var.clone()  # torch.vmap would move copies of a part of a tensor
        y = F.batch_norm(x, means, variances, self.weight, self.bias, True, MOMENTUM)
        mean.copy_(means)
        var.copy_(variances)
        return y

    def _over_processes(self, x: Tensor, running_mean: Tensor, running_var: Tensor) -> Tensor:
        """Normalise by the mean and variance of all processes' rows; shares may differ in size."""
        rows = x.float() if x.dtype in (torch.float16, torch.bfloat16) else x
        sums = distributed.all_reduce_sum(torch.cat((rows.sum(0), rows.new_tensor([len(rows)]))))
        count, mean = sums[-1].detach(), sums[:-1] / sums[-1].detach()
        var = distributed.all_reduce_sum((rows - mean).square().sum(0)) / count
        with torch.no_grad():
            running_mean.lerp_(mean.to(running_mean.dtype), MOMENTUM)
            running_var.lerp_((var * count / (count - 1)).to(running_var.dtype), MOMENTUM)
        scaled = (rows - mean) * (var + _EPS).rsqrt()
        if self.weight is not None and self.bias is not None:
            scaled = scaled * self.weight + self.bias
        return scaled.to(x.dtype)


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
        project_all: projections stand in front of all modalities; else where a width is not that of the encoder.
        heads_on_trunk: the heads read the trunk instead of z.
        own_statistics: batch norm keeps running statistics for each modality, instead of one set for all.
    """

    def __init__(
        self,
        widths: Iterable[int],
        width: int,
        n_clusters: int,
        n_over: int,
        depth: int,
        project_all: bool = True,
        heads_on_trunk: bool = False,
        own_statistics: bool = True,
    ) -> None:
        super().__init__()
        self.heads_on_trunk = heads_on_trunk
        self.projections = nn.ModuleList(
            nn.Linear(d, width) if project_all or d != width else nn.Identity() for d in widths
        )
        self.encoder = SharedEncoder(width, depth, n_statistics=len(self.projections) if own_statistics else 1)
        self.mean, self.rho = nn.Linear(width, width), nn.Linear(width, width)
        self.cluster_head, self.overcluster_head = nn.Linear(width, n_clusters), nn.Linear(width, n_over)

    def seeing(self, shapes: Sequence[Sequence[int] | None]) -> BottleneckNetwork:
        """This network, which sees by convolutions the modalities that have a shape: their rows are pictures."""
        for m, shape in enumerate(shapes):
            if shape is not None:
                self.projections[m] = PictureEncoder(shape, self.mean.in_features)
        return self

    def forward(self, x: Tensor, modality: int, noise: Tensor | None = None) -> Bottleneck:
        """Pass a modality (B x its width) through; z is its mean, or drawn by standard normal ``noise``, B x width."""
        trunk = self.encoder(self.projections[modality](x), modality)
        mean, deviation = to_float32(self.mean(trunk)), F.softplus(to_float32(self.rho(trunk))) + 1e-7
        z = mean if noise is None else mean + deviation * noise
        read = trunk if self.heads_on_trunk else z
        cluster, overcluster = (to_float32(head(read)) for head in (self.cluster_head, self.overcluster_head))
        return Bottleneck(mean, deviation, z, cluster, overcluster)

    def log_assignments(self, rows: Sequence[Tensor]) -> Tensor:
        """Logarithms of all modalities' assignments, M x B x K, from B rows of each."""
        return torch.stack([self(x, m).cluster.log_softmax(1) for m, x in enumerate(rows)])


def initialise_normal(module: nn.Module) -> None:
    """Draw the weights of a linear layer from N(0, 0.02^2) and set its bias to 0; for ``nn.Module.apply``."""
    if isinstance(module, nn.Linear):
        nn.init.normal_(module.weight, std=0.02)
        nn.init.zeros_(module.bias)
