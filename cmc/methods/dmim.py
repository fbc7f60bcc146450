"""DMIM, Deep Mutual Information Maximin for Cross-Modal Clustering (Mao et al., AAAI 2021), made stable."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from cmc import distributed
from cmc.data.loader import Batch, InOrder
from cmc.data.module import DataModule
from cmc.functional.present import average
from cmc.functional.sinkhorn import sinkhorn_labels
from cmc.functional.variational import gaussian_kl
from cmc.methods import dmim_terms as parts
from cmc.methods.base import Method, sum_of
from cmc.methods.candidates import CANDIDATES, read_candidates
from cmc.methods.collapse import CollapseWarning
from cmc.methods.encoders import Encoders, shapes_of
from cmc.methods.gaps import Gaps, gaps_of, total
from cmc.methods.pieces import Piece
from cmc.nn.bottleneck import BottleneckNetwork
from cmc.nn.choice import Choice
from cmc.nn.inputs import Inputs, Rows
from cmc.nn.precision import full_precision
from cmc.nn.side_by_side import Seen, SideBySide, Tables
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

    A sample that lacks modalities is trained on by those that it has (`cmc.methods.gaps`): batch norm, L2, L3 and
    pseudo labels are of the rows that are there, joint tables of the samples that have both, and its cluster is that of
    the mean over the modalities that are there.

    What it changes against the paper (experiments/study.md; `PaperDMIM` changes nothing): rows of unit length; noise on
    the networks' input, without which they learn pairs of samples by heart; beta that rises from 0; a learning rate of
    2e-3 instead of 5e-4, gamma of 0.2 instead of 0.5, PyTorch's initialisation instead of N(0, 0.02^2); and a choice
    among networks. Candidates, which see few or many principal components of each modality, or what they share
    (`cmc.nn.inputs.Inputs`), are trained side by side in the phase ``train``, on all samples but a share. By that
    share, which none of them has seen, and without labels, the better half of each candidate's networks goes on after
    each of ``halvings``, and at the end the one is kept whose modalities agree best on clusters of equal size
    (`cmc.nn.choice.Choice`): what does not carry over to new samples is not a cluster. The phase ``finish`` trains it
    on all samples, from the middle of its schedule on.

    Source: Mao et al., AAAI 2021. What its abstract and its pipeline leave open is reconstructed: heads read z, batch
    norm keeps statistics for each modality, projections align widths. Pseudo labels are made in evaluation mode; the
    first ones come before any step, when batch norm's statistics are still 0 and 1: they are those of networks as they
    were drawn, and last for ``refresh_every`` epochs. The release's choices: `ReleasedDMIM`.

    Args:
        dims: modality -> width.
        n_clusters: K.
        phases: ``train`` and ``finish``.
        optimizer: a function of the parameters.
        scheduler: a function of the optimiser, stepped once an epoch; None keeps the learning rate.
        batch_size: the global batch, ``"full"`` for all samples.
        drop_last: leave an incomplete last batch out.
        width: of the shared encoder and of z.
        depth: blocks of the encoder.
        overcluster_factor: clusters of the over-clustering head, in multiples of K.
        unit_rows: scale rows to length 1 before anything else.
        candidates: name -> the attributes of `cmc.methods.candidates.Candidate`.
        restarts: networks of each candidate, trained side by side; a step takes them in turn, in the memory of one.
        halvings: shares of ``train`` after which the better half of each candidate's networks goes on alone.
        validation: the share of the samples by which they are judged; 0 judges them by what they were trained on.
        beta: weight of L2.
        beta_warmup: share of the run over which beta rises from 0.
        gamma: weight of L3.
        power: of the assignments that pseudo labels are made from.
        refresh_every: epochs between two sets of pseudo labels.
        encoder: modality -> ``mlp``, or the shape of its pictures, seen whole, by convolutions, in the place of their
            components; of what is ``shared`` networks see what they see of others.
        gradient_clip: a bound on the norm of each network's gradient.
        compile: see `cmc.methods.base.Method`.

    Raises:
        UserError: a value outside its range.
    """

    compilable = ("_terms",)
    takes_gaps = True
    collapsing_beta: ClassVar[float] = 1.0  # from which on a single cluster is optimal
    comparing = frozenset({"train"})
    aside: Tensor
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
        candidates: Mapping[str, Mapping[str, Any] | None] = CANDIDATES,
        restarts: int = 6,
        halvings: Sequence[float] = (0.5,),
        validation: float = 0.2,
        beta: float = 0.01,
        beta_warmup: float = 0.2,
        gamma: float = 0.2,
        power: float = 10.0,
        refresh_every: int = 5,
        encoder: Encoders = None,
        gradient_clip: float | None = None,
        compile: bool = False,
    ) -> None:
        parts.check_ranges(overcluster_factor, depth, power, refresh_every, beta, gamma)
        validate.number("method.restarts", restarts, least=1)
        shares = validate.shares("method.halvings", halvings)
        validate.share("method.validation", validation)
        self.candidates = read_candidates(candidates)
        parts.check_width(width)
        parts.check_warmup(beta_warmup)
        super().__init__(dims, n_clusters, phases, optimizer, batch_size, drop_last, scheduler, gradient_clip, compile)
        parts.check_phases(self.schedule, n_clusters)
        if beta >= self.collapsing_beta:
            log.warning("method.beta: %s given; from 1 on the collapsed solution, a single cluster, is optimal", beta)
        self._collapse = CollapseWarning("dmim", dims)
        self.beta, self.beta_warmup, self.gamma, self.power = beta, beta_warmup, gamma, power
        self.width, self.refresh_every, self.validation = width, refresh_every, validation
        shapes = shapes_of(encoder, dims)
        views = [candidate.view for candidate in self.candidates]
        self.front = Inputs(dims.values(), unit_rows, views, [shape is not None for shape in shapes])
        self._view = [view for view in range(len(self.candidates)) for _ in range(restarts)]  # of each network
        n_over = overcluster_factor * n_clusters
        made = (self._network(self.front.widths(view), depth, n_over) for view in self._view)
        seen = (self.front.of_whole(view, shapes) for view in self._view)
        networks = [network.seeing(pictures) for network, pictures in zip(made, seen, strict=True)]
        self.networks = SideBySide(networks, len(dims), n_clusters)
        self.choice = Choice(len(self._view), len(dims), n_clusters)
        self._halved = {round(share * self.schedule.epochs("train")) for share in shares} - {0}
        self.register_buffer("aside", torch.empty(0, dtype=torch.bool), persistent=False)
        self.register_buffer("pseudo", torch.empty(len(self._view), len(dims), 0, dtype=torch.int16))

    def _network(self, widths: list[int], depth: int, n_over: int) -> BottleneckNetwork:
        """One of the networks side by side."""
        return BottleneckNetwork(widths, self.width, self.n_clusters, n_over, depth)

    def accept(self, data: DataModule) -> None:
        """Keep samples for validation; refuse batches, and a last batch, of fewer samples than clusters."""
        if self.validation:
            self.aside = data.set_aside(self.validation, self.n_clusters)
        for phase in self.schedule.phases:
            n_samples = data.n_fitted if phase.name in self.comparing else data.n_samples
            parts.check_last_batch(phase, n_samples, self.n_clusters, self.drop_last)

    @property
    def _trained(self) -> list[int]:
        """The numbers of the networks that the present phase trains."""
        return [self.choice.number] if self.phase.name == "finish" else self.choice.running

    def side_by_side(self) -> list[list[nn.Parameter]]:
        """The networks' parameters: each network is trained as if it were alone."""
        networks = self.networks.each
        return [list(networks[r].parameters()) for r in self._trained]

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """L1, beta L2 and gamma L3, the mean over the networks side by side."""
        terms = [(piece.computed(), piece.weight) for piece in self.pieces(batch)]
        return {name: sum_of(losses[name] * weight for losses, weight in terms) for name in terms[0][0]}

    def pieces(self, batch: Batch) -> Iterator[Piece]:  # type: ignore[override]  # no chunks
        """One piece a network."""
        share, trained, networks = self._share_of_run(), self._trained, self.networks.each
        beta = self.beta * (min(1.0, share / self.beta_warmup) if self.beta_warmup else 1.0)
        draw = partial(distributed.normal, n=batch.total, offset=batch.offset)
        views = {view: self.front(batch.modalities, view) for view in {self._view[r] for r in trained}}
        gaps = gaps_of(batch)
        alike = (type(self), beta, batch.share) if gaps is None else None
        terms = partial(self._weighted, beta, batch.share, gaps)
        for r in trained:
            view = self._view[r]
            seen = self.front.noisy(views[view], view, self.candidates[view].noise(share), draw)
            targets = self.pseudo[r][:, batch.index.to(self.device)].long() if self.gamma else None
            yield Piece(terms, networks[r], (seen, self._noise(seen, draw), targets), 1 / len(trained), alike)

    def _weighted(self, beta: float, *given: Any) -> dict[str, Tensor]:
        """L1, beta L2 and gamma L3 of one network, of what `_terms` is given."""
        terms = self._terms(*given)
        return dict(zip(_TERMS, (terms[0], beta * terms[1], self.gamma * terms[2]), strict=True))

    def _terms(
        self,
        share: float,
        gaps: Gaps | None,
        network: BottleneckNetwork,
        rows: list[Tensor],
        noise: list[Tensor],
        targets: Tensor | None,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """L1, L2 and L3 of one network, not weighted; ``targets``: pseudo labels, M x B, where L3 has a weight."""
        outputs, like = parts.outputs_of(network, dict(enumerate(rows)), noise, gaps), network.cluster_head.bias
        with full_precision(self.device):
            shared = self._per_modality(total(parts.shared_information(outputs, share, gaps), like))
            sizes = {m: None if gaps is None else gaps.size(m) for m in outputs}
            superfluous = total([gaussian_kl(o.mean, o.deviation, sizes[m]) for m, o in outputs.items()], like)
            taught = parts.uniform_distribution({m: o.cluster for m, o in outputs.items()}, targets, gaps)
            return -shared, superfluous, total(taught, like)

    def _per_modality(self, information: Tensor) -> Tensor:
        """The sum over pairs of modalities, for the pairs that each takes part in."""
        return information / (len(self.modalities) - 1)

    def _noise(self, rows: list[Tensor], draw: Callable[[Tensor, int], Tensor]) -> list[Tensor]:
        """Standard normal noise, by which z is drawn, of every modality."""
        return [draw(x, self.width) for x in rows]

    def _share_of_run(self) -> float:
        """From 0 to 1, by which noise and beta go; the last phase begins in the middle."""
        phase, epoch = self.schedule.at(self.current_epoch)
        share = epoch / phase.epochs
        return (1 + share) / 2 if phase.name == "finish" else share

    def refresh(self, phase: str, epoch: int, batches: InOrder) -> None:
        """Before the first epoch what networks are given, later the choice among them; pseudo labels, R x M x N."""
        if self.current_epoch == 0:
            self.front.fit(lambda: self._fitted(batches))
        if phase == "finish" and epoch == 0:
            self._choose(batches)
        elif phase == "train" and epoch in self._halved and len(self.choice.running) > 1:
            tables = self._judged(batches)
            self.choice.halve(tables.hard, tables.unseen, self._view)
        if not self.gamma or epoch % self.refresh_every:
            return
        if self.pseudo.shape[2] != batches.n_samples:
            self.pseudo = self.pseudo.new_zeros(*self.pseudo.shape[:2], batches.n_samples)
        for r, m, log_assignments in self._log_assignments(batches):
            self.require_finite("assignments", log_assignments)
            taught = self._labelled(batches, m)
            self.pseudo[r, m, taught] = sinkhorn_labels(log_assignments[taught], self.power).to(self.pseudo.dtype)

    def _labelled(self, batches: InOrder, m: int) -> Tensor | slice:
        """Of the N samples those that pseudo labels of modality m are made for."""
        taught = self._taught if len(self._taught) else None
        if batches.present is None:
            return slice(None) if taught is None else taught
        there = batches.present[:, m].to(self.device)
        return there if taught is None else there & taught

    def _log_assignments(self, batches: InOrder) -> Iterator[tuple[int, int, Tensor]]:
        """Network, modality, and its log assignments of all samples, N x K, which pseudo labels are made from."""
        which = self._trained
        return self.networks.collected(which, lambda: self._passed(batches, which), batches.n_samples)

    def settle(self, batches: InOrder) -> None:
        """Match the modalities' clusters; in ``train``, choose among the networks."""
        if self.phase.name == "finish":
            tables = self._settle(batches, self._trained, judged=False)
        else:
            tables = self._choose(batches)
        sizes = tables.hard[self.choice.number].diagonal().diagonal(dim1=0, dim2=1)
        self._collapse.look(sizes, self.current_epoch + 1)

    def _choose(self, batches: InOrder) -> Tables:
        """Keep a network, and match its modalities' clusters by all samples."""
        tables = self._judged(batches)
        self.choice.choose(tables.hard, tables.unseen)
        return self._settle(batches, [self.choice.number], judged=True)

    def _judged(self, batches: InOrder) -> Tables:
        """How the networks that are still trained agree: on the samples set aside; where these tell nothing, on all."""
        which = self.choice.running
        if len(self.aside):
            tables = self.networks.tables(seen.set_aside() for seen in self._passed(batches, which, judged=True))
            if tables.unseen.any():
                return tables
        return self.networks.tables(self._passed(batches, which, judged=True))

    def _settle(self, batches: InOrder, which: Sequence[int], judged: bool) -> Tables:
        tables = self.networks.tables(self._passed(batches, which, judged))
        self.require_finite("assignments", tables.soft)
        self.networks.match(tables)
        return tables

    def unseen(self) -> Tensor | None:
        """Counts in which the kept network's modalities agree on the samples set aside, when it was chosen."""
        return self.choice.told()

    def assign_each(self, batch: Batch) -> Tensor:
        """The kept network's matched p^m, M x B x K."""
        return self.networks.assign(self.choice.number, self._kept_rows(batch))

    def assign(self, batch: Batch) -> Tensor:
        """The mean over modalities of the matched p^m, B x K."""
        return self.assignments(batch)[0]

    def assignments(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Both from the same matched p^m."""
        matched = self.assign_each(batch)
        return average(matched, batch.present), matched

    def embed(self, batch: Batch) -> Tensor:
        """The mean over the modalities that are there of the kept network's mu, B x width."""
        return self.networks.embed(self.choice.number, self._kept_rows(batch), batch.present)

    def _kept_rows(self, batch: Batch) -> list[Tensor]:
        return list(self.front(batch.modalities, self._view[self.choice.number]))

    def _passed(self, batches: InOrder, which: Sequence[int], judged: bool = False) -> Iterator[Seen]:
        """All samples as networks are given them; ``judged``: those set aside are marked."""
        for batch in batches:
            views = {view: self.front(batch.modalities, view) for view in {self._view[r] for r in which}}
            aside = self.aside[batch.index.to(self.device)] if judged and len(self.aside) else None
            yield Seen({r: views[self._view[r]] for r in which}, aside, batch.present)

    def _fitted(self, batches: InOrder) -> Iterator[Rows]:
        """Rows of the samples that are trained on in the present phase."""
        for batch in batches:
            present = batch.present
            taught = self._taught[batch.index.to(self.device)] if len(self._taught) else slice(None)
            yield [x[taught] for x in batch.modalities], None if present is None else present[taught]

    @property
    def _taught(self) -> Tensor:
        """N, whether a sample is trained on now; empty where all are."""
        return ~self.aside if self.phase.name in self.comparing else self.aside[:0]
