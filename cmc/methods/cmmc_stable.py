"""CMMC made stable: several networks side by side, of which the one is kept that agrees most with the others."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from cmc import distributed
from cmc.data.loader import Batch, InOrder, Span
from cmc.functional.agreement import agreement_tables, medoid
from cmc.functional.present import average
from cmc.methods.base import sum_of
from cmc.methods.cmmc import CMMC
from cmc.methods.pieces import Piece
from cmc.nn.multilevel import MultiLevelNetwork
from cmc.utils import validate


class StableCMMC(CMMC):
    """CMMC whose clusters depend less on the seed; its other arguments are those of `cmc.methods.cmmc.CMMC`.

    What two runs of CMMC find alike is in the data; what one of them merges or splits by itself is an accident of its
    initial weights. So R networks, drawn apart, are trained side by side in ``reconstruct`` and ``contrast``, each as
    CMMC alone would be on the same batches. Before ``align``, which trains one as CMMC does, that one is kept whose
    clusters share most with those of the other networks: the largest mean mutual information (the medoid),
    of all samples, without labels. In ``contrast`` every evaluation chooses anew; network 0 answers until then.

    One network gives CMMC; of two, which agree with each other alike, the first is kept.

    Args:
        restarts: R. Weights and what the optimiser remembers take R times the memory; a step takes the networks in
            turn, in the memory of one.
        settings: of `CMMC`.

    Raises:
        UserError: a value outside its range.
    """

    kept: Tensor

    def __init__(self, *arguments: Any, restarts: int = 5, **settings: Any) -> None:
        validate.whole("method.restarts", restarts, least=1)
        super().__init__(*arguments, **settings)
        self.networks.extend(self._drawn() for _ in range(restarts - 1))
        self.register_buffer("kept", torch.tensor(0))
        self._number: int | None = None  # of `kept`, which a step need not wait for

    @property
    def network(self) -> MultiLevelNetwork:
        """The one that is kept."""
        if self._number is None:
            self._number = int(self.kept)
        return self._every[self._number]

    @property
    def _every(self) -> list[MultiLevelNetwork]:
        return list(self.networks)  # type: ignore[arg-type]

    @property
    def _trained(self) -> list[MultiLevelNetwork]:
        """Those that the present phase trains."""
        return [self.network] if self.phase.name == "align" else self._every

    def side_by_side(self) -> list[list[nn.Parameter]]:
        """The networks' parameters: each network is trained as if it were alone."""
        return [list(network.parameters()) for network in self._trained]

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """The terms of the present phase, the mean over the networks that it trains."""
        each = [self._terms(network, batch) for network in self._trained]
        return {name: sum_of(terms[name] for terms in each) / len(each) for name in each[0]}

    def pieces(self, batch: Batch | Span) -> Iterator[Piece]:
        """One piece a network, of every chunk that the phase asks for."""
        trained = self._trained
        if self.phase.name == "align":
            yield from super().pieces(batch)
            return
        for chunk in batch.chunks(self.phase.chunk_size):
            alike = (type(self), self.phase.name, chunk.total, chunk.offset) if chunk.presence is None else None
            for network in trained:
                weight = chunk.size / batch.size / len(trained)
                yield Piece(partial(self._of, chunk), network, (chunk.modalities,), weight, alike)

    def _of(self, batch: Batch, network: MultiLevelNetwork, rows: Sequence[Tensor]) -> dict[str, Tensor]:
        """The terms of one network, for other rows of a batch in its place."""
        return self._terms(network, batch._replace(modalities=tuple(rows)))

    def refresh(self, phase: str, epoch: int, batches: InOrder) -> None:
        """Before ``align``, keep a network; then as `CMMC.refresh`."""
        if phase == "align" and epoch == 0:
            self._choose(batches)
        super().refresh(phase, epoch, batches)

    def settle(self, batches: InOrder) -> None:
        """In ``contrast``, keep a network."""
        if self.phase.name == "contrast":
            self._choose(batches)

    def _choose(self, batches: InOrder) -> None:
        n, k = len(self.networks), self.n_clusters
        tables = torch.zeros(n, n, k, k, dtype=torch.long, device=self.device)
        for batch in batches:
            present = batch.present
            each = [average(network.assign(batch.modalities), present).argmax(1) for network in self._every]
            tables += agreement_tables(torch.stack(each), k)
        self._number = medoid(distributed.all_reduce_sum(tables).cpu())
        self.kept.fill_(self._number)

    def _load_from_state_dict(self, *arguments: Any) -> None:
        self._number = None
        super()._load_from_state_dict(*arguments)
