"""DMIM as its authors released it: where the code leaves what `cmc.methods.dmim` makes of the paper."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from cmc import distributed
from cmc.data.loader import Batch, InOrder
from cmc.functional.present import average
from cmc.functional.variational import softmax_kl
from cmc.methods.dmim import DMIM
from cmc.methods.dmim_terms import check_ranges, outputs_of, shared_information, uniform_distribution
from cmc.methods.gaps import Gaps, gaps_of, total
from cmc.nn.bottleneck import MOMENTUM, Bottleneck, BottleneckNetwork, initialise_normal
from cmc.nn.precision import full_precision

_KEPT = 1 - MOMENTUM


class ReleasedDMIM(DMIM):
    """DMIM with the choices of the authors' release.

    - One network, of the modalities' width; where their widths differ, all are mapped to the smallest one by their
      principal components. Weights start from N(0, 0.02^2), biases from 0; batch norm keeps one set of running
      statistics for all modalities.
    - The heads read the trunk, so that L2 can fall to 0 and touch no assignment.
    - L1 averages a joint table with its transpose, and is the sum over pairs.
    - L2 is the divergence of the softmax of z from that of standard normal noise, averaged over elements: nearly 0.
      All modalities are held against one sample of the noise.
    - L3 teaches the first modality alone, and its cross-entropy is fed probabilities (a second softmax). Its pseudo
      labels are made by batch statistics over all samples, as in a training step.
    - Batch norm's running statistics move twice in a step, for z is drawn by a second pass, and once more for the first
      modality where pseudo labels were made.
    - A sample's cluster is that of the first modality.
    - Features as they are (``data.scaling=none``), in float32.

    What still differs: the draws of a seed; pseudo labels are balanced in logarithms, where the release's powers of 10
    may vanish and leave a cluster empty; the epoch, which the release chooses by accuracy and which is the last here.

    The symmetrised joint has false optima for different modalities (see `joint_table`): each modality may use its own
    half of the clusters, or swap pairs of them. On digits (DMIM's default with this joint, one network, seeds 0-9;
    experiments/study.md) every run swaps 1 to 5 of the 5 pairs, which matching undoes (ACC .81 with it, .56 without),
    and what cannot be undone costs .03 against the plain joint. Halves: one cluster of one modality alone in one of
    these runs, for balanced pseudo labels rule them out; in 5 of 10 runs of the release's recipe one or two clusters
    belong to one modality alone. The plain joint prefers no numbering at all, so that it needs the matching as much
    (.84 with it, .53 without). Without L3 (gamma of 0) either joint nearly collapses (ACC .31; symmetric .18).

    Source: the release of Mao et al., AAAI 2021, which is for two modalities of one width.

    Args:
        dims: modality -> width.
        n_clusters: K.
        phases: ``train``.
        optimizer: a function of the parameters.
        scheduler: a function of the optimiser, stepped once an epoch; None keeps the learning rate.
        batch_size: the global batch, ``"full"`` for all samples.
        drop_last: leave an incomplete last batch out.
        depth: blocks of the encoder.
        overcluster_factor: clusters of the over-clustering head, in multiples of K.
        beta: weight of L2.
        gamma: weight of L3.
        power: of the assignments that pseudo labels are made from.
        refresh_every: epochs between two sets of pseudo labels.
        gradient_clip: a bound on the norm of the gradient.
        compile: see `cmc.methods.base.Method`.

    Raises:
        UserError: a value outside its range.
    """

    collapsing_beta = math.inf  # a mean over elements is too small for that

    def __init__(
        self,
        dims: Mapping[str, int],
        n_clusters: int,
        phases: Mapping[str, Mapping[str, Any]],
        optimizer: Callable[[Iterable[Tensor]], Optimizer],
        scheduler: Callable[[Optimizer], LRScheduler] | None = None,
        batch_size: int | str = "full",
        drop_last: bool = True,
        depth: int = 2,
        overcluster_factor: int = 10,
        beta: float = 1.0,
        gamma: float = 0.5,
        power: float = 10.0,
        refresh_every: int = 5,
        gradient_clip: float | None = None,
        compile: bool = False,
    ) -> None:
        check_ranges(overcluster_factor, depth, power, refresh_every, beta, gamma)
        smallest = min(dims.values())
        super().__init__(
            dims,
            n_clusters,
            phases,
            optimizer,
            scheduler,
            batch_size,
            drop_last,
            width=smallest,
            depth=depth,
            overcluster_factor=overcluster_factor,
            unit_rows=False,
            candidates={"released": {"components": None if set(dims.values()) == {smallest} else smallest}},
            restarts=1,
            validation=0.0,
            beta=beta,
            beta_warmup=0.0,
            gamma=gamma,
            power=power,
            refresh_every=refresh_every,
            gradient_clip=gradient_clip,
            compile=compile,
        )

    def _network(self, widths: list[int], depth: int, n_over: int) -> BottleneckNetwork:
        network = BottleneckNetwork(
            widths,
            self.width,
            self.n_clusters,
            n_over,
            depth,
            project_all=False,
            heads_on_trunk=True,
            own_statistics=False,
        )
        return network.apply(initialise_normal)

    def _noise(self, rows: list[Tensor], draw: Callable[[Tensor, int], Tensor]) -> list[Tensor]:
        """The noise by which z is drawn, and after it that which L2 holds z against."""
        return [*super()._noise(rows, draw), draw(rows[0], self.width)]

    def _terms(
        self,
        share: float,
        gaps: Gaps | None,
        network: BottleneckNetwork,
        rows: list[Tensor],
        noise: list[Tensor],
        targets: Tensor | None,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """L1, L2 and L3, not weighted."""
        outputs, like = self._passed_twice(network, rows, noise, gaps), network.cluster_head.bias
        sizes, first = (
            {m: None if gaps is None else gaps.size(m) for m in outputs},
            {m: outputs[m] for m in outputs if not m},
        )
        with full_precision(self.device):
            shared = total(shared_information(outputs, share, gaps, symmetric=True), like)
            samples = {m: noise[-1] if gaps is None else noise[-1][gaps.rows(m)] for m in outputs}
            superfluous = [softmax_kl(o.z, samples[m], sizes[m]) for m, o in outputs.items()]
            taught = uniform_distribution({m: o.cluster.softmax(1) for m, o in first.items()}, targets, gaps)
            return -shared, total(superfluous, like), total(taught, like)

    def _per_modality(self, information: Tensor) -> Tensor:
        return information

    def _passed_twice(
        self, network: BottleneckNetwork, rows: list[Tensor], noise: list[Tensor], gaps: Gaps | None
    ) -> dict[int, Bottleneck]:
        """One pass of every modality; running statistics move as by a second one, and by that of a refresh."""
        outputs: dict[int, Bottleneck] = {}
        moves, statistics = {}, list(network.buffers())
        for m in range(len(rows)):
            before = [buffer.clone() for buffer in statistics]
            outputs |= outputs_of(network, {m: rows[m]}, noise, gaps)
            if m in outputs:
                moves[m] = [after - _KEPT * buffer for after, buffer in zip(statistics, before, strict=True)]
        refreshed = bool(self.gamma) and self.current_epoch % self.refresh_every == 0
        with torch.no_grad():
            for move in [*moves.values(), *([moves[0]] if refreshed and 0 in moves else [])]:
                for buffer, step in zip(statistics, move, strict=True):
                    buffer.data.mul_(_KEPT).add_(step)  # which the backward pass does not mind
        return outputs

    def _log_assignments(self, batches: InOrder) -> Iterator[tuple[int, int, Tensor]]:
        """Those of the first modality, by batch statistics; running ones stay as they are until the step's passes."""
        (network,), batch = self.networks.each, batches.whole()
        before = [buffer.clone() for buffer in network.buffers()]
        gaps, rows = gaps_of(batch), self.front(batch.modalities, 0)[0]
        network.train()
        found = network(rows if gaps is None else rows[gaps.rows(0)], 0).cluster.log_softmax(1)
        network.eval()
        own = (
            found if gaps is None else found.new_zeros(batch.size, self.n_clusters).index_copy_(0, gaps.rows(0), found)
        )
        for buffer, kept in zip(network.buffers(), before, strict=True):
            buffer.copy_(kept)
        yield 0, 0, distributed.all_gather_rows(own)

    def assignments(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """The first modality's assignment, and the matched ones of all."""
        matched, present = self.assign_each(batch), batch.present
        if present is None:
            return matched[0], matched
        return torch.where(present[:, :1], matched[0], average(matched, present)), matched
