"""One encoder that all modalities share, with a bottleneck z and heads; several of them side by side."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cmc import distributed
from cmc.functional.agreement import agreement, agreement_tables, match_modalities
from cmc.nn.precision import to_float32

_EPS = 1e-5  # batch norm's
MOMENTUM = 0.1  # of its running statistics
_COLLECTED_BYTES = 2**27  # of assignments that are held at once


class ModalityBatchNorm(nn.Module):
    """Batch normalisation that modalities share, each with running statistics of its own.

    Args:
        width: of its input.
        n_modalities: how many running statistics are kept; 1 makes the modalities share them too.
    """

    running_mean: Tensor
    running_var: Tensor

    def __init__(self, width: int, n_modalities: int) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.ones(width)), nn.Parameter(torch.zeros(width))
        self.register_buffer("running_mean", torch.zeros(n_modalities, width))
        self.register_buffer("running_var", torch.ones(n_modalities, width))

    def forward(self, x: Tensor, modality: int) -> Tensor:
        """Normalise x (B x width) of a modality by its batch in training, by its running statistics in evaluation."""
        own = modality % self.running_mean.shape[0]
        mean, var = self.running_mean[own], self.running_var[own]
        if self.training and distributed.world_size() > 1:
            return self._over_processes(x, mean, var)
        return F.batch_norm(x, mean, var, self.weight, self.bias, self.training, MOMENTUM)

    def _over_processes(self, x: Tensor, running_mean: Tensor, running_var: Tensor) -> Tensor:
        """Normalise by the mean and variance of all processes' rows; shares may differ in size."""
        rows = x.float() if x.dtype in (torch.float16, torch.bfloat16) else x
        sums = distributed.all_reduce_sum(torch.cat((rows.sum(0), rows.new_tensor([len(rows)]))))
        count, mean = sums[-1].detach(), sums[:-1] / sums[-1].detach()
        var = distributed.all_reduce_sum((rows - mean).square().sum(0)) / count
        with torch.no_grad():
            running_mean.lerp_(mean.to(running_mean.dtype), MOMENTUM)
            running_var.lerp_((var * count / (count - 1)).to(running_var.dtype), MOMENTUM)
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


class Restarts(nn.ModuleList):
    """Networks that are trained side by side, of which one is kept: that whose modalities agree best.

    Args:
        networks: R of them, alike.
        n_modalities: M.
        n_clusters: K.

    Attributes:
        permutations: R x M x K; entry (r, m, k) is the cluster of modality m that bears the common number k.
        kept: the number of the one that is kept.
    """

    permutations: Tensor
    kept: Tensor

    def __init__(self, networks: Iterable[BottleneckNetwork], n_modalities: int, n_clusters: int) -> None:
        super().__init__(networks)
        self.register_buffer("permutations", torch.arange(n_clusters).repeat(len(self), n_modalities, 1))
        self.register_buffer("kept", torch.tensor(0))

    @property
    def each(self) -> list[BottleneckNetwork]:
        """All of them."""
        return list(self)  # type: ignore[arg-type]

    def tables(self, passes: Iterable[Sequence[Tensor]]) -> tuple[Tensor, Tensor]:
        """How every network's assignments of the modalities agree, over all samples and processes.

        Args:
            passes: batches of all samples, each of M tensors of B x width.

        Returns:
            R x M x M x K x K: sums of p^a (p^b)^T, in double precision; and counts of samples in the argmax of both.
        """
        n, (_, m, k), device = len(self), self.permutations.shape, self.permutations.device
        soft = torch.zeros(n, m, m, k, k, dtype=torch.float64, device=device)
        hard = torch.zeros(n, m, m, k, k, dtype=torch.long, device=device)
        for rows in passes:
            for r, network in enumerate(self.each):
                p = network.log_assignments(rows).exp().double()
                soft[r] += torch.einsum("ank,bnl->abkl", p, p)
                hard[r] += agreement_tables(p.argmax(2), k)
        return distributed.all_reduce_sum(soft), distributed.all_reduce_sum(hard)

    def collected(
        self, passes: Callable[[], Iterable[Sequence[Tensor]]], n_samples: int
    ) -> Iterator[tuple[int, int, Tensor]]:
        """Give the log assignments of all samples and processes, N x K, of every network and modality.

        Args:
            passes: begins a pass; see `tables`. There are as many as the memory for assignments asks for.
            n_samples: N.

        Yields:
            Network, modality, and their log assignments.
        """
        _, n_modalities, k = self.permutations.shape
        pairs = [(r, m) for r in range(len(self)) for m in range(n_modalities)]
        at_once = max(1, _COLLECTED_BYTES // (4 * n_samples * k))
        for first in range(0, len(pairs), at_once):
            part = pairs[first : first + at_once]
            for (r, m), own in zip(part, self._collected(part, passes(), n_samples), strict=True):
                yield r, m, own

    def _collected(self, pairs: list[tuple[int, int]], passes: Iterable[Sequence[Tensor]], n_samples: int) -> Tensor:
        """The log assignments of these networks and modalities, len(pairs) x N x K."""
        networks, done = self.each, 0
        weight = networks[0].cluster_head.weight
        collected = weight.new_empty(len(pairs), n_samples, len(weight))
        for rows in passes:
            for i, (r, m) in enumerate(pairs):
                every = distributed.all_gather_rows(networks[r](rows[m], m).cluster.log_softmax(1))
                collected[i, done : done + len(every)] = every
            done += len(every)
        return collected

    def keep_best(self, soft: Tensor, hard: Tensor) -> Tensor:
        """Match the modalities' clusters; keep the network whose modalities agree best on clusters of equal size.

        Args:
            soft: of `tables`.
            hard: of `tables`.

        Returns:
            M x K: samples in each cluster of each modality, by the network kept.
        """
        self.permutations = torch.stack([match_modalities(tables) for tables in soft])
        measures = [agreement(tables) for tables in hard.cpu()]
        chosen = max(range(len(self)), key=lambda r: measures[r][0] * measures[r][1])
        self.kept.fill_(chosen)
        return hard[chosen].diagonal().diagonal(dim1=0, dim2=1)

    def assign(self, rows: Sequence[Tensor]) -> Tensor:
        """The kept network's assignments of every modality, in common cluster numbers, M x B x K."""
        kept = int(self.kept)
        p = self.each[kept].log_assignments(rows).exp()
        return torch.stack([x[:, order] for x, order in zip(p, self.permutations[kept], strict=True)])

    def embed(self, rows: Sequence[Tensor]) -> Tensor:
        """The mean over modalities of the kept network's mean of z, B x width."""
        network = self.each[int(self.kept)]
        return torch.stack([network(x, m).mean for m, x in enumerate(rows)]).mean(0)


def initialise_normal(module: nn.Module) -> None:
    """Draw the weights of a linear layer from N(0, 0.02^2) and set its bias to 0; for ``nn.Module.apply``."""
    if isinstance(module, nn.Linear):
        nn.init.normal_(module.weight, std=0.02)
        nn.init.zeros_(module.bias)
