"""Networks that are trained side by side, and how their modalities agree."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from cmc import distributed
from cmc.functional.agreement import agreement_tables, match_modalities
from cmc.functional.present import average
from cmc.nn.bottleneck import BottleneckNetwork

_COLLECTED_BYTES = 2**27  # of assignments that are held at once


class Seen(NamedTuple):
    """A batch as the networks are given it.

    Attributes:
        rows: number of a network -> M tensors of B x width.
        unseen: B, whether a sample was kept out of training; None where none is.
        present: B x M, whether a sample has a modality; None where all have all.
    """

    rows: Mapping[int, Sequence[Tensor]]
    unseen: Tensor | None = None
    present: Tensor | None = None

    def set_aside(self) -> Seen:
        """The samples alone that were kept out of training."""
        assert self.unseen is not None
        rows = {r: [x[self.unseen] for x in each] for r, each in self.rows.items()}
        return Seen(rows, self.unseen[self.unseen], None if self.present is None else self.present[self.unseen])


class Tables(NamedTuple):
    """How networks' assignments of the modalities agree, over all samples and processes; 0 for networks not looked at.

    Two modalities are compared on the samples that have both.

    Attributes:
        soft: R x M x M x K x K: sums of p^a (p^b)^T over samples that were trained on, in double precision.
        hard: of the same: counts of samples in the argmax of both, int64.
        unseen: these counts, of samples that were kept out of training.
    """

    soft: Tensor
    hard: Tensor
    unseen: Tensor


class SideBySide(nn.ModuleList):
    """Networks that are trained side by side.

    Args:
        networks: R of them.
        n_modalities: M.
        n_clusters: K.

    Attributes:
        permutations: R x M x K; entry (r, m, k) is the cluster of modality m that bears the common number k.
    """

    permutations: Tensor

    def __init__(self, networks: Iterable[BottleneckNetwork], n_modalities: int, n_clusters: int) -> None:
        super().__init__(networks)
        self.register_buffer("permutations", torch.arange(n_clusters).repeat(len(self), n_modalities, 1))

    @property
    def each(self) -> list[BottleneckNetwork]:
        """All of them."""
        return list(self)  # type: ignore[arg-type]

    def tables(self, passes: Iterable[Seen]) -> Tables:
        """Count how assignments agree.

        Args:
            passes: batches of all samples.
        """
        n, (_, m, k), device = len(self), self.permutations.shape, self.permutations.device
        soft = torch.zeros(n, m, m, k, k, dtype=torch.float64, device=device)
        hard, unseen = (torch.zeros(n, m, m, k, k, dtype=torch.long, device=device) for _ in range(2))
        for batch in passes:
            for r, rows in batch.rows.items():
                p, present = self.each[r].log_assignments(rows).exp().double(), batch.present
                if batch.unseen is not None:
                    aside = None if present is None else present[batch.unseen]
                    unseen[r] += agreement_tables(p[:, batch.unseen].argmax(2), k, aside)
                    p, present = p[:, ~batch.unseen], None if present is None else present[~batch.unseen]
                hard[r] += agreement_tables(p.argmax(2), k, present)
                if present is not None:
                    p = p.masked_fill(~present.T.unsqueeze(2), 0)
                soft[r] += torch.einsum("ank,bnl->abkl", p, p)
        return Tables(*map(distributed.all_reduce_sum, (soft, hard, unseen)))

    def collected(
        self, which: Sequence[int], passes: Callable[[], Iterable[Seen]], n_samples: int
    ) -> Iterator[tuple[int, int, Tensor]]:
        """Give the log assignments of all samples and processes, N x K, of networks and modalities.

        Args:
            which: the networks' numbers.
            passes: begins a pass over all samples. There are as many as the memory for assignments asks for.
            n_samples: N.

        Yields:
            Network, modality, and their log assignments.
        """
        _, n_modalities, k = self.permutations.shape
        pairs = [(r, m) for r in which for m in range(n_modalities)]
        at_once = max(1, _COLLECTED_BYTES // (4 * n_samples * k))
        for first in range(0, len(pairs), at_once):
            part = pairs[first : first + at_once]
            for (r, m), own in zip(part, self._collected(part, passes(), n_samples), strict=True):
                yield r, m, own

    def _collected(self, pairs: list[tuple[int, int]], passes: Iterable[Seen], n_samples: int) -> Tensor:
        """The log assignments of these networks and modalities, len(pairs) x N x K."""
        networks, done = self.each, 0
        weight = networks[0].cluster_head.weight
        collected = weight.new_empty(len(pairs), n_samples, len(weight))
        for batch in passes:
            for i, (r, m) in enumerate(pairs):
                every = distributed.all_gather_rows(networks[r](batch.rows[r][m], m).cluster.log_softmax(1))
                collected[i, done : done + len(every)] = every
            done += len(every)
        return collected

    def match(self, tables: Tables) -> None:
        """Give the modalities' clusters common numbers, in every network that was looked at."""
        for r, table in enumerate(tables.soft):
            if table.any():
                self.permutations[r] = match_modalities(table)

    def assign(self, number: int, rows: Sequence[Tensor]) -> Tensor:
        """A network's assignments of every modality (B x width each), in common cluster numbers, M x B x K."""
        p = self.each[number].log_assignments(rows).exp()
        return torch.stack([x[:, order] for x, order in zip(p, self.permutations[number], strict=True)])

    def embed(self, number: int, rows: Sequence[Tensor], present: Tensor | None = None) -> Tensor:
        """The mean, over the modalities that are there (``present``, B x M), of a network's mean of z, B x width."""
        network = self.each[number]
        return average(torch.stack([network(x, m).mean for m, x in enumerate(rows)]), present)
