"""DMIM, Deep Mutual Information Maximin for Cross-Modal Clustering (Mao et al., AAAI 2021)."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from itertools import combinations
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from cmc import distributed
from cmc.data.loader import Batch, InOrder
from cmc.data.module import DataModule
from cmc.errors import UserError
from cmc.functional.agreement import agreement, agreement_tables, match_modalities
from cmc.functional.mutual_information import joint_table, mutual_information
from cmc.functional.sinkhorn import sinkhorn_labels
from cmc.functional.variational import gaussian_kl, softmax_kl
from cmc.methods.base import Method, sum_of
from cmc.nn.bottleneck import Bottleneck, BottleneckNetwork, PrincipalComponents, initialise_normal
from cmc.nn.precision import full_precision
from cmc.utils import validate

log = logging.getLogger(__name__)

_TERMS = ("shared_information", "superfluous_information", "uniform_distribution")
_LABELLING_BYTES = 2**27  # of assignments that pseudo labels are made from at once
_CHOICES = {
    "alignment": ("projection", "pca", "none"),
    "joint": ("plain", "symmetric"),
    "head_input": ("z", "trunk"),
    "pseudo_labels": ("each", "matched", "first"),
}


class DMIM(Method):
    r"""Mutual information maximin: what modalities share is kept, what only one of them has is squeezed out.

    All modalities pass through one shared encoder to p(z|x^m) = N(mu, sigma^2 I), a cluster head and an over-clustering
    head; the loss is L1 + beta L2 + gamma L3:

    - L1: minus the mutual information of two modalities' assignments, for both heads, summed over pairs. For M
      modalities the sum is divided by M - 1, the pairs that each takes part in, so that beta and gamma mean the same
      for any M.
    - L2: sum over modalities of KL(N(mu, sigma^2 I) || N(0, I)), a bound of I(x; z), in nats. Since each mutual
      information in L1 is at most what z carries, beta of 1 and more makes the collapsed solution optimal.
    - L3: cross-entropy of each modality's cluster logits against its own balanced pseudo labels (Sinkhorn-Knopp on p
      to the power 10), summed over modalities.

    A sample's cluster is the argmax of the mean over modalities of p^m, whose clusters are matched first.

    What the default changes against the paper, found without labels inside a run: rows of
    unit length on at most 100 principal components; noise on this input that falls to 0 over the run, without which
    the network learns pairs of samples by heart; beta that rises from 0; 150 epochs at a learning rate of 2e-3 instead
    of 500 at 5e-4; gamma of 0.2 instead of 0.5; PyTorch's initialisation instead of N(0, 0.02^2); and several networks
    side by side, of which the one is kept whose modalities agree best on clusters of equal size
    (`cmc.functional.agreement`).

    The symmetrised joint of the release has false optima for different modalities (see `joint_table`): each modality
    may use its own half of the clusters, or swap pairs of them. On digits (``joint: symmetric``, one network, seeds
    0-9; experiments/study.md) every run swaps 1 to 5 of the 5 pairs, which matching undoes (ACC .81 with it, .56
    without), and what cannot be undone costs .03 against the plain joint. Halves: one cluster of one modality alone in
    one of these runs, for balanced pseudo labels rule them out; in 5 of 10 runs of the release's recipe one or two
    clusters belong to one modality alone. The plain joint prefers no numbering at all, so that it needs the matching as
    much (.84 with it, .53 without). Without L3 (gamma of 0) either joint nearly collapses (ACC .31; symmetric .18).

    Source: Mao et al., AAAI 2021. What neither the paper's abstract nor its pipeline fixes is reconstructed: the heads
    read z (the release: the trunk), batch norm keeps statistics for each modality, projections align widths.

    Args:
        dims: modality -> width.
        n_clusters: K.
        phases: ``train``.
        optimizer: a function of the parameters.
        scheduler: a function of the optimiser, stepped once an epoch; None keeps the learning rate.
        batch_size: the global batch, ``"full"`` for all samples.
        drop_last: leave an incomplete last batch out.
        width: of the shared encoder and of z; None for that of the aligned features.
        depth: blocks of the encoder.
        overcluster_factor: clusters of the over-clustering head, in multiples of K.
        alignment: a ``projection`` a modality to the encoder's width; ``pca`` of all modalities to the smallest width
            (equal widths stay as they are), or to ``components`` where these are fewer; ``none`` for equal widths.
        unit_rows: scale rows to length 1 before anything else.
        components: principal components kept of each modality; None for none of this.
        input_noise: of the root mean square of a modality, in training, falling linearly to 0 over the run.
        beta: weight of L2.
        beta_warmup: share of the run over which beta rises from 0.
        gamma: weight of L3.
        power: of the assignments that pseudo labels are made from.
        refresh_every: epochs between two sets of pseudo labels.
        joint: ``plain``, or ``symmetric`` as in the release.
        head_input: the heads read ``z``, or the ``trunk`` as in the release (L2 can then fall to 0 and touch no
            assignment).
        pseudo_labels: ``each`` modality its own, one set for all from the ``matched`` mean, or the ``first`` alone.
        restarts: networks trained side by side; a step takes them in turn, in the memory of one.
        released: the rest of what the release does otherwise: weights from N(0, 0.02^2) and biases 0; one set of batch
            norm statistics for all modalities; L2 as the divergence of softmaxes averaged over elements; L3's
            cross-entropy fed probabilities (a second softmax); clusters from the first modality alone.
        gradient_clip: a bound on the norm of the gradient.
        compile: see `cmc.methods.base.Method`.

    Raises:
        UserError: a value outside its range; widths that differ under ``alignment=none``.
    """

    kept: Tensor
    compilable = ("_terms",)
    permutations: Tensor
    pseudo: Tensor
    scale: Tensor

    def __init__(
        self,
        dims: Mapping[str, int],
        n_clusters: int,
        phases: Mapping[str, Mapping[str, Any]],
        optimizer: Callable[[Iterable[Tensor]], Optimizer],
        scheduler: Callable[[Optimizer], LRScheduler] | None = None,
        batch_size: int | str = "full",
        drop_last: bool = True,
        width: int | None = 100,
        depth: int = 2,
        overcluster_factor: int = 10,
        alignment: str = "projection",
        unit_rows: bool = True,
        components: int | None = 100,
        input_noise: float = 0.7,
        beta: float = 0.01,
        beta_warmup: float = 0.2,
        gamma: float = 0.2,
        power: float = 10.0,
        refresh_every: int = 5,
        joint: str = "plain",
        head_input: str = "z",
        pseudo_labels: str = "each",
        restarts: int = 5,
        released: bool = False,
        gradient_clip: float | None = None,
        compile: bool = False,
    ) -> None:
        given = {"alignment": alignment, "joint": joint, "head_input": head_input, "pseudo_labels": pseudo_labels}
        counts = {"overcluster_factor": overcluster_factor, "depth": depth, "restarts": restarts, "power": power}
        weights = {"beta": beta, "gamma": gamma, "input_noise": input_noise, "beta_warmup": beta_warmup}
        for key, value in given.items():
            validate.one_of(f"method.{key}", value, _CHOICES[key])
        for key, count in {**counts, "refresh_every": refresh_every}.items():
            validate.number(f"method.{key}", count, least=1)
        for key, size in {"width": width, "components": components}.items():
            validate.whole(f"method.{key}", size, least=1, or_null=True)
        for key, weight in weights.items():
            validate.number(f"method.{key}", weight, least=0)
        if beta_warmup > 1:
            raise UserError(f"method.beta_warmup: {beta_warmup} given; it is a share of the run, from 0 to 1")
        super().__init__(dims, n_clusters, phases, optimizer, batch_size, drop_last, scheduler, gradient_clip, compile)
        self._check_batches()
        if beta >= 1 and not released:
            log.warning("method.beta: %s given; from 1 on the collapsed solution, a single cluster, is optimal", beta)
        self._collapsed: dict[str, bool] = {}
        self.joint, self.pseudo_labels, self.released = joint, pseudo_labels, released
        self.beta, self.beta_warmup, self.gamma, self.power = beta, beta_warmup, gamma, power
        self.input_noise, self.refresh_every, self.unit_rows = input_noise, refresh_every, unit_rows
        kept, self.width = _aligned(dims, alignment, components, width)
        self.restarts = restarts
        fronts = [PrincipalComponents(d, kept) for d in dims.values()]
        self.fronts = nn.ModuleList(fronts)
        self.networks = nn.ModuleList(
            BottleneckNetwork(
                widths=[front.width for front in fronts],
                width=self.width,
                n_clusters=n_clusters,
                n_over=overcluster_factor * n_clusters,
                depth=depth,
                project=alignment == "projection",
                head_input=head_input,
                n_statistics=1 if released else len(dims),
            )
            for _ in range(restarts)
        )
        if released:
            self.networks.apply(initialise_normal)
        self.register_buffer("scale", torch.zeros(len(dims)))
        self.register_buffer("pseudo", torch.empty(restarts, len(dims), 0, dtype=torch.int16))
        self.register_buffer("permutations", torch.arange(n_clusters).repeat(restarts, len(dims), 1))
        self.register_buffer("kept", torch.tensor(0))

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

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """L1, beta L2 and gamma L3, the mean over the networks side by side."""
        terms = list(self.pieces(batch))
        return {name: sum_of(losses[name] * weight for losses, weight in terms) for name in terms[0][0]}

    def pieces(self, batch: Batch) -> Iterator[tuple[dict[str, Tensor], float]]:  # type: ignore[override]  # no chunks
        """One piece a network."""
        share, rows = self._share_of_run(), self._front(batch)
        beta = self.beta * (min(1.0, share / self.beta_warmup) if self.beta_warmup else 1.0)
        draw = partial(distributed.normal, n=batch.total, offset=batch.offset)
        for r, network in self._numbered():
            seen = self._noisy(rows, share, draw)
            noise = [draw(x, self.width) for x in seen]
            reference = [draw(x, self.width) for x in seen] if self.released else None
            terms = self._terms(network, seen, noise, reference, self._targets(r, batch), batch.share)
            yield dict(zip(_TERMS, (terms[0], beta * terms[1], self.gamma * terms[2]), strict=True)), 1 / self.restarts

    def _terms(
        self,
        network: BottleneckNetwork,
        rows: list[Tensor],
        noise: list[Tensor],
        reference: list[Tensor] | None,
        targets: Tensor | None,
        share: float,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """L1, L2 and L3 of one network, not weighted."""
        outputs = [network(x, m, noise[m]) for m, x in enumerate(rows)]
        with full_precision(self.device):
            shared = [
                mutual_information(distributed.all_reduce_sum(joint_table(a, b, self.joint == "symmetric") * share))
                for logits in ([o.cluster for o in outputs], [o.overcluster for o in outputs])
                for a, b in combinations([x.softmax(1) for x in logits], 2)
            ]
            if reference is None:
                superfluous = [gaussian_kl(o.mean, o.deviation) for o in outputs]
            else:
                superfluous = [softmax_kl(o.z, x) for o, x in zip(outputs, reference, strict=True)]
            return -sum_of(shared) / (len(outputs) - 1), sum_of(superfluous), self._uniform(outputs, targets)

    def _targets(self, r: int, batch: Batch) -> Tensor | None:
        """Pseudo labels of network r, M x B; None where their weight is 0."""
        return self.pseudo[r][:, batch.index.to(self.device)].long() if self.gamma else None

    def _uniform(self, outputs: list[Bottleneck], targets: Tensor | None) -> Tensor:
        """Cross-entropy of the cluster heads against pseudo labels; 0 without any."""
        if targets is None:
            return outputs[0].cluster.new_zeros(())
        taught = outputs[:1] if self.pseudo_labels == "first" else outputs
        inputs = [o.cluster.softmax(1) if self.released else o.cluster for o in taught]
        return sum_of(F.cross_entropy(x, targets[m]) for m, x in enumerate(inputs))

    def _share_of_run(self) -> float:
        phase, epoch = self.schedule.at(self.current_epoch)
        return epoch / phase.epochs

    def _front(self, batch: Batch) -> list[Tensor]:
        """Rows of unit length on their principal components, as asked for."""
        rows = [F.normalize(x, dim=1) if self.unit_rows else x for x in batch.modalities]
        return [front(x) for front, x in zip(self.fronts, rows, strict=True)]

    def _noisy(self, rows: list[Tensor], share: float, draw: Callable[[Tensor, int], Tensor]) -> list[Tensor]:
        noise = self.input_noise * (1 - share)
        if not noise:
            return rows
        return [x + noise * scale * draw(x, x.shape[1]) for x, scale in zip(rows, self.scale, strict=True)]

    def refresh(self, phase: str, epoch: int, batches: InOrder) -> None:
        """Before the first epoch: principal components. Every ``refresh_every`` epochs: pseudo labels, R x M x N."""
        if epoch == 0:
            self._fit_front(batches)
        if self.gamma and epoch % self.refresh_every == 0:
            self._label(batches)

    def _label(self, batches: InOrder) -> None:
        """New pseudo labels, in as many passes as the memory for assignments asks for."""
        n, k, n_modalities = batches.n_samples, self.n_clusters, len(self.fronts)
        if self.pseudo.shape[2] != n:
            self.pseudo = self.pseudo.new_empty(self.restarts, n_modalities, n)
        together = n_modalities if self.pseudo_labels == "matched" else 1
        sets = [(r, m) for r in range(self.restarts) for m in range(n_modalities)]
        at_once = max(together, _LABELLING_BYTES // (4 * n * k) // together * together)
        for first in range(0, len(sets), at_once):
            self._label_part(sets[first : first + at_once], together, batches)

    def _label_part(self, sets: list[tuple[int, int]], together: int, batches: InOrder) -> None:
        """New pseudo labels of these pairs of network and modality, so many of which are made together."""
        log_assignments = self._collected(sets, batches)
        for i in range(0, len(sets), together):
            r, m = sets[i]
            for j, labels in enumerate(self._balanced(log_assignments[i : i + together])):
                self.pseudo[r, m + j] = labels

    def _collected(self, sets: list[tuple[int, int]], batches: InOrder) -> Tensor:
        """Log assignments of all samples by pairs of network and modality, len(sets) x N x K."""
        networks, done = dict(self._numbered()), 0
        collected = self.scale.new_empty(len(sets), batches.n_samples, self.n_clusters)
        for batch in batches:
            rows = self._front(batch)
            for i, (r, m) in enumerate(sets):
                own = networks[r](rows[m], m).cluster.log_softmax(1)
                collected[i, done : done + batch.total] = distributed.all_gather_rows(own)
            done += batch.total
        self.require_finite("assignments", collected)
        return collected

    def _fit_front(self, batches: InOrder) -> None:
        """Principal components and root mean square of every modality, from sums over samples in double precision."""
        fronts: list[PrincipalComponents] = list(self.fronts)  # type: ignore[arg-type]
        for m, front in enumerate(fronts):
            count, total, products = 0, torch.zeros(()), torch.zeros(())
            for batch in batches:
                x = batch.modalities[m].double()
                x = F.normalize(x, dim=1) if self.unit_rows else x
                count, total, products = count + batch.total, total + x.sum(0), products + x.T @ x
            total, products = distributed.all_reduce_sum(total), distributed.all_reduce_sum(products)
            front.fit(count, total, products)
            variance = products.diagonal() / count - (total / count).square()
            self.scale[m] = 1.0 if front.keeps else variance.mean().sqrt()

    def _log_assignments(self, network: BottleneckNetwork, rows: list[Tensor]) -> Tensor:
        """M x B x K."""
        return torch.stack([network(x, m).cluster.log_softmax(1) for m, x in enumerate(rows)])

    def _balanced(self, log_assignments: Tensor) -> Iterator[Tensor]:
        """N pseudo labels of each modality, from one network's log assignments, M x N x K, or of a part of them."""
        if self.pseudo_labels != "matched":
            yield from (sinkhorn_labels(x, self.power) for x in log_assignments)
            return
        p = log_assignments.exp()
        permutations = match_modalities(torch.einsum("ank,bnl->abkl", p, p))
        common = sinkhorn_labels(_matched(p, permutations).mean(0).log(), self.power)
        yield from (permutation[common] for permutation in permutations)

    def settle(self, batches: InOrder) -> None:
        """Match the modalities' clusters; keep the network whose modalities agree best on clusters of equal size."""
        n, m, k = len(self.networks), len(self.fronts), self.n_clusters
        soft = torch.zeros(n, m, m, k, k, dtype=torch.float64, device=self.device)
        hard = torch.zeros(n, m, m, k, k, dtype=torch.long, device=self.device)
        for batch in batches:
            rows = self._front(batch)
            for r, network in self._numbered():
                p = self._log_assignments(network, rows).exp().double()
                soft[r] += torch.einsum("ank,bnl->abkl", p, p)
                hard[r] += agreement_tables(p.argmax(2), k)
        soft, hard = distributed.all_reduce_sum(soft), distributed.all_reduce_sum(hard)
        self.require_finite("assignments", soft)
        self.permutations = torch.stack([match_modalities(tables) for tables in soft])
        measures = [agreement(tables) for tables in hard.cpu()]
        chosen = max(range(n), key=lambda r: measures[r][0] * measures[r][1])
        self.kept.fill_(chosen)
        self._report_collapse(hard[chosen].diagonal().diagonal(dim1=0, dim2=1))

    def _report_collapse(self, sizes: Tensor) -> None:
        """Say once of each modality that all its samples are in one cluster, and once that they no longer are."""
        for name, occupied in zip(self.modalities, (sizes > 0).sum(1).tolist(), strict=True):
            epoch = self.current_epoch + 1
            if occupied == 1 and name not in self._collapsed:
                self._collapsed[name] = True
                log.warning("dmim: all samples of %s are in one cluster at epoch %d; the run goes on", name, epoch)
            elif occupied > 1 and self._collapsed.get(name):
                self._collapsed[name] = False
                log.warning("dmim: samples of %s are in %d clusters again at epoch %d", name, occupied, epoch)

    def assign_each(self, batch: Batch) -> Tensor:
        """The kept network's matched p^m, M x B x K."""
        kept, network = self._kept()
        return _matched(self._log_assignments(network, self._front(batch)).exp(), self.permutations[kept])

    def assign(self, batch: Batch) -> Tensor:
        """The mean over modalities of the matched p^m, B x K; the release: the first modality's."""
        return self.assignments(batch)[0]

    def assignments(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Both from the same matched p^m."""
        matched = self.assign_each(batch)
        return matched[0] if self.released else matched.mean(0), matched

    def embed(self, batch: Batch) -> Tensor:
        """The mean over modalities of the kept network's mu, B x width."""
        _, network = self._kept()
        return torch.stack([network(x, m).mean for m, x in enumerate(self._front(batch))]).mean(0)

    def _numbered(self) -> list[tuple[int, BottleneckNetwork]]:
        return list(enumerate(self.networks))  # type: ignore[arg-type]

    def _kept(self) -> tuple[int, BottleneckNetwork]:
        return self._numbered()[int(self.kept)]

    def _check_batches(self) -> None:
        for phase in self.schedule.phases:
            if phase.name != "train":
                raise UserError(f"method.phases.{phase.name}: DMIM has one phase, train")
            if phase.batch_size is not None and phase.batch_size < self.n_clusters:
                raise UserError(
                    f"method.batch_size: {phase.batch_size} given; a batch must hold at least as many samples as there "
                    f"are clusters, {self.n_clusters}"
                )


def _matched(p: Tensor, permutations: Tensor) -> Tensor:
    """Assignments of all modalities (M x B x K) with their columns in common numbers (M x K)."""
    return torch.stack([x[:, order] for x, order in zip(p, permutations, strict=True)])


def _aligned(
    dims: Mapping[str, int], alignment: str, components: int | None, width: int | None
) -> tuple[int | None, int]:
    """How many principal components are kept (None: no such step), and the encoder's width."""
    widths = set(dims.values())
    if alignment == "projection":
        if width is None:
            raise UserError("method.width: null given; with alignment=projection the encoder needs a width")
        return components, width
    kept = components if len(widths) == 1 else min([*widths, *([] if components is None else [components])])
    if alignment == "none" and (len(widths) > 1 or components is not None):
        given = ", ".join(f"{name} {d}" for name, d in dims.items())
        raise UserError(
            f"method.alignment: none given, but the modalities' widths differ ({given}): give projection or pca"
            if len(widths) > 1
            else f"method.components: {components} given; alignment=none leaves features as they are: give null"
        )
    common = min([*widths, *([kept] if kept is not None else [])])
    if width not in (None, common):
        raise UserError(f"method.width: {width} given; with alignment={alignment} it is {common}: give null")
    return kept, common
