"""DMIM, Deep Mutual Information Maximin for Cross-Modal Clustering (Mao et al., AAAI 2021), made stable."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from itertools import combinations
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from cmc import distributed
from cmc.data.loader import Batch, InOrder
from cmc.data.module import DataModule
from cmc.errors import UserError
from cmc.functional.mutual_information import joint_table, mutual_information
from cmc.functional.sinkhorn import sinkhorn_labels
from cmc.functional.variational import gaussian_kl
from cmc.methods.base import Method, sum_of
from cmc.methods.collapse import CollapseWarning
from cmc.nn.bottleneck import Bottleneck, BottleneckNetwork, Restarts
from cmc.nn.inputs import Inputs
from cmc.nn.precision import full_precision
from cmc.utils import validate

log = logging.getLogger(__name__)

_TERMS = ("shared_information", "superfluous_information", "uniform_distribution")


class DMIM(Method):
    r"""DMIM made stable over seeds: the paper's objective on other inputs, by another schedule, the best of several.

    What modalities share is kept, what only one of them has is squeezed out (mutual information maximin). They all pass
    through one shared encoder to p(z|x^m) = N(mu, sigma^2 I), a cluster head and an over-clustering head, which read z;
    the loss is L1 + beta L2 + gamma L3:

    - L1: minus the mutual information of two modalities' assignments, for both heads, summed over pairs. For M
      modalities the sum is divided by M - 1, the pairs that each takes part in, so that beta and gamma mean the same
      for any M.
    - L2: sum over modalities of KL(N(mu, sigma^2 I) || N(0, I)), a bound of I(x; z), in nats. Since each mutual
      information in L1 is at most what z carries, beta of 1 and more makes the collapsed solution optimal.
    - L3: cross-entropy of each modality's cluster logits against its own balanced pseudo labels (Sinkhorn-Knopp on p
      to the power 10), summed over modalities.

    A sample's cluster is the argmax of the mean over modalities of p^m, whose clusters are matched first.

    What it changes against the paper (experiments/study.md; `PaperDMIM` changes nothing): rows of unit length on 100
    principal components; noise on this input that falls to 0 over the run, without which the network learns pairs
    of samples by heart; beta that rises from 0; 150 epochs at a learning rate of 2e-3 instead of 500 at 5e-4; gamma of
    0.2 instead of 0.5; PyTorch's initialisation instead of N(0, 0.02^2); and several networks side by side, of which,
    without labels, the one is kept whose modalities agree best on clusters of equal size (`cmc.functional.agreement`).

    Source: Mao et al., AAAI 2021. What its abstract and its pipeline leave open is reconstructed: heads read z, batch
    norm keeps statistics for each modality, projections align widths. Pseudo labels are made in evaluation mode; the
    first ones come before any step, when batch norm's statistics are still 0 and 1: they are those of networks as they
    were drawn, and last for ``refresh_every`` epochs. The release's choices: `ReleasedDMIM`.

    Args:
        dims: modality -> width.
        n_clusters: K.
        phases: ``train``.
        optimizer: a function of the parameters.
        scheduler: a function of the optimiser, stepped once an epoch; None keeps the learning rate.
        batch_size: the global batch, ``"full"`` for all samples.
        drop_last: leave an incomplete last batch out.
        width: of the shared encoder and of z.
        depth: blocks of the encoder.
        overcluster_factor: clusters of the over-clustering head, in multiples of K.
        unit_rows: scale rows to length 1 before anything else.
        components: principal components kept of each modality; None for none of this.
        input_noise: of the root mean square of a modality, in training, falling linearly to 0 over the run.
        beta: weight of L2.
        beta_warmup: share of the run over which beta rises from 0.
        gamma: weight of L3.
        power: of the assignments that pseudo labels are made from.
        refresh_every: epochs between two sets of pseudo labels.
        restarts: networks trained side by side; a step takes them in turn, in the memory of one.
        gradient_clip: a bound on the norm of each network's gradient.
        compile: see `cmc.methods.base.Method`.

    Raises:
        UserError: a value outside its range.
    """

    compilable = ("_terms",)
    collapsing_beta: ClassVar[float] = 1.0  # from which on a single cluster is optimal
    pseudo: Tensor

    def __init__(
        self,
        dims: Mapping[str, int],
        n_clusters: int,
        phases: Mapping[str, Mapping[str, Any]],
        optimizer: Callable[[Iterable[Tensor]], Optimizer],
        scheduler: Callable[[Optimizer], LRScheduler] | None = None,
        batch_size: int | str = "full",
        drop_last: bool = True,
        width: int = 100,
        depth: int = 2,
        overcluster_factor: int = 10,
        unit_rows: bool = True,
        components: int | None = 100,
        input_noise: float = 0.7,
        beta: float = 0.01,
        beta_warmup: float = 0.2,
        gamma: float = 0.2,
        power: float = 10.0,
        refresh_every: int = 5,
        restarts: int = 5,
        gradient_clip: float | None = None,
        compile: bool = False,
    ) -> None:
        check_ranges(overcluster_factor, depth, power, refresh_every, beta, gamma)
        validate.number("method.restarts", restarts, least=1)
        if width is None:
            raise UserError("method.width: null given; the encoder needs a width")
        validate.whole("method.width", width, least=1)
        validate.whole("method.components", components, least=1, or_null=True)
        validate.number("method.input_noise", input_noise, least=0)
        validate.number("method.beta_warmup", beta_warmup, least=0)
        if beta_warmup > 1:
            raise UserError(f"method.beta_warmup: {beta_warmup} given; it is a share of the run, from 0 to 1")
        super().__init__(dims, n_clusters, phases, optimizer, batch_size, drop_last, scheduler, gradient_clip, compile)
        self._check_batches()
        if beta >= self.collapsing_beta:
            log.warning("method.beta: %s given; from 1 on the collapsed solution, a single cluster, is optimal", beta)
        self._collapse = CollapseWarning("dmim", dims)
        self.beta, self.beta_warmup, self.gamma, self.power = beta, beta_warmup, gamma, power
        self.width, self.input_noise, self.refresh_every = width, input_noise, refresh_every
        self.front = Inputs(dims.values(), unit_rows, components)
        networks = (self._network(depth, overcluster_factor * n_clusters) for _ in range(restarts))
        self.networks = Restarts(networks, len(dims), n_clusters)
        self.register_buffer("pseudo", torch.empty(restarts, len(dims), 0, dtype=torch.int16))

    def _network(self, depth: int, n_over: int) -> BottleneckNetwork:
        """One of the networks side by side."""
        return BottleneckNetwork(self.front.widths, self.width, self.n_clusters, n_over, depth)

    def accept(self, data: DataModule) -> None:
        """Refuse a last batch of fewer samples than clusters."""
        for phase in self.schedule.phases:
            if phase.batch_size is None or self.drop_last:
                continue
            if 0 < (left := data.n_samples % phase.batch_size) < self.n_clusters:
                raise UserError(
                    f"method.batch_size: {phase.batch_size} given; of {data.n_samples} samples that leaves {left} for "
                    f"the last batch, fewer than the {self.n_clusters} clusters: give another size, or "
                    "method.drop_last=true"
                )

    def side_by_side(self) -> list[list[nn.Parameter]]:
        """The networks' parameters: each network is trained as if it were alone."""
        return [list(network.parameters()) for network in self.networks.each]

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """L1, beta L2 and gamma L3, the mean over the networks side by side."""
        terms = list(self.pieces(batch))
        return {name: sum_of(losses[name] * weight for losses, weight in terms) for name in terms[0][0]}

    def pieces(self, batch: Batch) -> Iterator[tuple[dict[str, Tensor], float]]:  # type: ignore[override]  # no chunks
        """One piece a network."""
        share, rows = self._share_of_run(), self.front(batch.modalities)
        beta = self.beta * (min(1.0, share / self.beta_warmup) if self.beta_warmup else 1.0)
        draw = partial(distributed.normal, n=batch.total, offset=batch.offset)
        for labels, network in zip(self.pseudo, self.networks.each, strict=True):
            seen = self.front.noisy(rows, self.input_noise * (1 - share), draw)
            targets = labels[:, batch.index.to(self.device)].long() if self.gamma else None
            terms = self._terms(network, seen, self._noise(seen, draw), targets, batch.share)
            weighted = (terms[0], beta * terms[1], self.gamma * terms[2])
            yield dict(zip(_TERMS, weighted, strict=True)), 1 / len(self.networks)

    def _terms(
        self, network: BottleneckNetwork, rows: list[Tensor], noise: list[Tensor], targets: Tensor | None, share: float
    ) -> tuple[Tensor, Tensor, Tensor]:
        """L1, L2 and L3 of one network, not weighted; ``targets``: pseudo labels, M x B, where L3 has a weight."""
        outputs = [network(x, m, noise[m]) for m, x in enumerate(rows)]
        with full_precision(self.device):
            shared = self._per_modality(shared_information(outputs, share))
            superfluous = sum_of(gaussian_kl(o.mean, o.deviation) for o in outputs)
            return -shared, superfluous, uniform_distribution([o.cluster for o in outputs], targets)

    def _per_modality(self, information: Tensor) -> Tensor:
        """The sum over pairs of modalities, for the pairs that each takes part in."""
        return information / (len(self.modalities) - 1)

    def _noise(self, rows: list[Tensor], draw: Callable[[Tensor, int], Tensor]) -> list[Tensor]:
        """Standard normal noise, by which z is drawn, of every modality."""
        return [draw(x, self.width) for x in rows]

    def _share_of_run(self) -> float:
        phase, epoch = self.schedule.at(self.current_epoch)
        return epoch / phase.epochs

    def refresh(self, phase: str, epoch: int, batches: InOrder) -> None:
        """Before the first epoch: principal components. Every ``refresh_every`` epochs: pseudo labels, R x M x N."""
        if epoch == 0:
            for m in range(len(self.modalities)):
                self.front.fit(m, (batch.modalities[m] for batch in batches))
        if not self.gamma or epoch % self.refresh_every:
            return
        if self.pseudo.shape[2] != batches.n_samples:
            self.pseudo = self.pseudo.new_zeros(*self.pseudo.shape[:2], batches.n_samples)
        for r, m, log_assignments in self._log_assignments(batches):
            self.require_finite("assignments", log_assignments)
            self.pseudo[r, m] = sinkhorn_labels(log_assignments, self.power)

    def _log_assignments(self, batches: InOrder) -> Iterator[tuple[int, int, Tensor]]:
        """Network, modality, and its log assignments of all samples, N x K, which pseudo labels are made from."""
        return self.networks.collected(lambda: self._passed(batches), batches.n_samples)

    def settle(self, batches: InOrder) -> None:
        """Match the modalities' clusters; keep the network whose modalities agree best on clusters of equal size."""
        soft, hard = self.networks.tables(self._passed(batches))
        self.require_finite("assignments", soft)
        self._collapse.look(self.networks.keep_best(soft, hard), self.current_epoch + 1)

    def assign_each(self, batch: Batch) -> Tensor:
        """The kept network's matched p^m, M x B x K."""
        return self.networks.assign(self.front(batch.modalities))

    def assign(self, batch: Batch) -> Tensor:
        """The mean over modalities of the matched p^m, B x K."""
        return self.assignments(batch)[0]

    def assignments(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Both from the same matched p^m."""
        matched = self.assign_each(batch)
        return matched.mean(0), matched

    def embed(self, batch: Batch) -> Tensor:
        """The mean over modalities of the kept network's mu, B x width."""
        return self.networks.embed(self.front(batch.modalities))

    def _passed(self, batches: InOrder) -> Iterator[list[Tensor]]:
        return (self.front(batch.modalities) for batch in batches)

    def _check_batches(self) -> None:
        for phase in self.schedule.phases:
            if phase.name != "train":
                raise UserError(f"method.phases.{phase.name}: DMIM has one phase, train")
            if phase.batch_size is not None and phase.batch_size < self.n_clusters:
                raise UserError(
                    f"method.batch_size: {phase.batch_size} given; a batch must hold at least as many samples as there "
                    f"are clusters, {self.n_clusters}"
                )


def check_ranges(
    overcluster_factor: int, depth: int, power: float, refresh_every: int, beta: float, gamma: float
) -> None:
    """Refuse what none of DMIM's variants can do.

    Raises:
        UserError: a setting out of its range.
    """
    counts = {"overcluster_factor": overcluster_factor, "depth": depth, "power": power, "refresh_every": refresh_every}
    for key, count in counts.items():
        validate.number(f"method.{key}", count, least=1)
    for key, weight in {"beta": beta, "gamma": gamma}.items():
        validate.number(f"method.{key}", weight, least=0)


def shared_information(outputs: list[Bottleneck], share: float, symmetric: bool = False) -> Tensor:
    """Mutual information of the pairs, summed; a ``share`` of the batch is here; ``symmetric``: see `joint_table`."""
    information = [
        mutual_information(distributed.all_reduce_sum(joint_table(a, b, symmetric) * share))
        for logits in ([o.cluster for o in outputs], [o.overcluster for o in outputs])
        for a, b in combinations([x.softmax(1) for x in logits], 2)
    ]
    return sum_of(information)


def uniform_distribution(logits: list[Tensor], targets: Tensor | None) -> Tensor:
    """L3: cross-entropy of modalities' cluster logits against their pseudo labels, M x B; 0 without any."""
    if targets is None:
        return logits[0].new_zeros(())
    return sum_of(F.cross_entropy(x, targets[m]) for m, x in enumerate(logits))
