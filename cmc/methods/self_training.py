"""What methods share that teach codes by targets made of their own clusters: auto-encoders, centres, all codes."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from cmc import distributed
from cmc.data.loader import Batch, InOrder
from cmc.functional.agreement import agreement_tables, match_modalities
from cmc.functional.kmeans import kmeans_centres
from cmc.functional.targets import student_t
from cmc.methods.autoencoder import reconstruction
from cmc.methods.base import Method
from cmc.methods.centred import ROWS
from cmc.methods.demands import check_phases, check_weights, check_widths
from cmc.nn.autoencoder import AutoEncoders
from cmc.nn.kmeans_head import check_kmeans
from cmc.nn.precision import full_precision, to_float32
from cmc.utils import validate
from cmc.utils.arrays import spaced


class SelfTraining(Method):
    r"""Auto-encoders whose codes are drawn to targets made of their own clusters, in two phases.

    1. ``reconstruct``: the error of the ``reconstruction``, summed over modalities.
    2. a second one, which a subclass names: the same, and the distance of every modality's assignment q^m from its
       target. Assignments are Student's t of the code z^m and of K centres of the modality's own, which are trained.

    Before the second phase begins, k-means gives the centres. Targets are made of all samples every ``refresh_every``
    epochs, and held fixed, without gradients, until the next ones: they are buffers, as is all they depend on.

    Args:
        dims: modality -> width.
        n_clusters: K.
        phases: ``reconstruct`` and the second one.
        optimizer: a function of the parameters.
        batch_size: the global batch.
        drop_last: leave an incomplete last batch out.
        hidden: widths of the encoders' hidden layers; decoders mirror them.
        latent_dim: width of z.
        target_weight: of the distance from the targets.
        refresh_every: epochs between two sets of targets.
        kmeans_restarts: starts of every k-means.
        seed: of k-means.
        gradient_clip: a bound on the norm of the gradient.

    Attributes:
        centres: M x K x latent_dim.
        targets: T x N x K; what T counts, a subclass says.

    Raises:
        UserError: a value outside its range, or another phase.
    """

    warmup = frozenset({"reconstruct"})
    chunkable = frozenset({"reconstruct"})
    second: str
    targets: Tensor

    def __init__(
        self,
        dims: Mapping[str, int],
        n_clusters: int,
        phases: Mapping[str, Mapping[str, Any]],
        optimizer: Callable[[Iterable[Tensor]], Optimizer],
        batch_size: int | str = 256,
        drop_last: bool = False,
        hidden: Sequence[int] = (500, 500, 2000),
        latent_dim: int = 10,
        target_weight: float = 0.1,
        refresh_every: int = 10,
        kmeans_restarts: int = 100,
        seed: int = 0,
        gradient_clip: float | None = None,
    ) -> None:
        check_widths(hidden, latent_dim=latent_dim)
        check_weights(target_weight=target_weight)
        validate.whole("method.refresh_every", refresh_every, least=1)
        check_kmeans(kmeans_restarts, seed)
        check_phases(type(self).__name__, phases, ("reconstruct", self.second))
        super().__init__(dims, n_clusters, phases, optimizer, batch_size, drop_last, gradient_clip=gradient_clip)
        self.target_weight, self.refresh_every = target_weight, refresh_every
        self.restarts, self.seed = kmeans_restarts, seed
        self.autoencoders = AutoEncoders(dims.values(), [*hidden, latent_dim])
        self.centres = nn.Parameter(torch.zeros(len(dims), n_clusters, latent_dim))
        self.register_buffer("targets", torch.empty(0, 0, n_clusters))

    @abstractmethod
    def distance(self, q: Tensor, batch: Batch) -> Tensor:
        """How far assignments (M x B x K) are from their targets, summed over modalities: a scalar."""

    @abstractmethod
    def begin(self, codes: list[Tensor]) -> None:
        """Give the centres their start, of all samples' codes."""

    @abstractmethod
    def make_targets(self, codes: list[Tensor], number: int) -> None:
        """Make the targets of all samples' codes, for the ``number``-th time (from 0)."""

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """The terms of the present phase."""
        z = self._encode(batch)
        terms = {"reconstruction": reconstruction(self.autoencoders.decoder(z), batch.modalities)}
        if self.phase.name != "reconstruct":
            with full_precision(self.device):
                q = self.soft([to_float32(x) for x in z])
                terms["target"] = self.target_weight * self.distance(q, batch)
        return terms

    def _encode(self, batch: Batch) -> list[Tensor]:
        codes: list[Tensor] = self.autoencoders.encoder(batch.modalities)
        return codes

    def codes(self, batch: Batch) -> list[Tensor]:
        """The code z of every modality, B x latent_dim."""
        return [to_float32(z) for z in self._encode(batch)]

    def soft(self, codes: Sequence[Tensor]) -> Tensor:
        """Every modality's assignment, by its own centres, M x B x K."""
        return torch.stack([student_t(z, own) for z, own in zip(codes, self.centres, strict=True)])

    def all_codes(self, batches: InOrder) -> list[Tensor]:
        """Codes of all samples, N x latent_dim a modality; the same on every process."""
        parts = ([distributed.all_gather_rows(z) for z in self.codes(batch)] for batch in batches)
        every = [torch.cat(own) for own in zip(*parts, strict=True)]
        for each in every:
            self.require_finite("codes", each)
        return every

    def refresh(self, phase: str, epoch: int, batches: InOrder) -> None:
        """Before the second phase the centres; before every ``refresh_every``-th of its epochs the targets."""
        if phase == self.second and epoch % self.refresh_every == 0:
            codes = self.all_codes(batches)
            if epoch == 0:
                self.begin(codes)
            self.make_targets(codes, epoch // self.refresh_every)

    def means_of(self, codes: Tensor) -> Tensor:
        """The centres of k-means, K x width, on the first process's word."""
        rows = some(codes)
        found = rows.new_empty(self.n_clusters, rows.shape[1])
        if distributed.is_rank_zero():
            found = kmeans_centres(rows, self.n_clusters, self.restarts, self.seed).to(rows)
        return distributed.broadcast(found)

    def begin_apart(self, codes: list[Tensor], named: bool = True) -> None:
        """Start from k-means in each modality, its clusters named as the first modality's where it is ``named``."""
        self.centres.data.copy_(torch.stack([self.means_of(z) for z in codes]))
        if named:
            tables = agreement_tables(self.soft(codes).argmax(2), self.n_clusters)
            names = match_modalities(tables)
            self.centres.data.copy_(torch.stack([own[order] for own, order in zip(self.centres, names, strict=True)]))

    def assign(self, batch: Batch) -> Tensor:
        """How probable each cluster is by all modalities together, B x K."""
        return self.assignments(batch)[0]

    def assign_each(self, batch: Batch) -> Tensor:
        """Every modality's own assignment, M x B x K."""
        return self.soft(self.codes(batch))

    def assignments(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Both from the same codes."""
        each = self.assign_each(batch)
        return each.mean(0), each

    def embed(self, batch: Batch) -> Tensor:
        """The codes of all modalities side by side, B x (M latent_dim)."""
        return torch.cat(self.codes(batch), 1)


def some(codes: Tensor) -> Tensor:
    """All rows or, of more than 100,000, so many evenly spaced ones."""
    return codes if len(codes) <= ROWS else codes[torch.from_numpy(spaced(len(codes), ROWS)).to(codes.device)]
