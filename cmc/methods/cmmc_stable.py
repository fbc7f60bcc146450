"""CMMC made stable: several cluster heads side by side on one representation, of which one is kept, without labels."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from cmc import distributed
from cmc.data.loader import InOrder
from cmc.data.module import DataModule
from cmc.functional.agreement import agreement_tables
from cmc.methods.cmmc import CMMC
from cmc.nn.choice import Choice
from cmc.nn.precision import to_float32
from cmc.utils import validate


class StableCMMC(CMMC):
    """CMMC whose clusters depend less on the seed; its other arguments are those of `cmc.methods.cmmc.CMMC`.

    A single cluster head that merges two clusters shapes the representation that it reads, and k-means then finds them
    merged, too. Here several heads, drawn apart, are trained by the mean of their L_Q: what one of them merges another
    tells apart. Before ``align`` the head is kept whose modalities agree best on clusters of equal size, on a share of
    the samples that the phases before have not seen.

    Args:
        heads: how many.
        validation: the share of the samples by which they are judged; 0 judges them by what they were trained on.
        settings: of `CMMC`.

    Raises:
        UserError: a value outside its range.
    """

    comparing = frozenset({"reconstruct", "contrast"})
    aside: Tensor

    def __init__(self, *arguments: Any, heads: int = 5, validation: float = 0.2, **settings: Any) -> None:
        validate.whole("method.heads", heads, least=1)
        self.validation = validate.share("method.validation", validation)
        super().__init__(*arguments, **settings)
        width, k, m = self.cluster_head.in_features, self.n_clusters, len(self.modalities)
        self.further_heads = nn.ModuleList(nn.Linear(width, k) for _ in range(heads - 1))
        self.choice = Choice(heads, m, k)
        self.register_buffer("aside", torch.empty(0, dtype=torch.bool), persistent=False)

    def accept(self, data: DataModule) -> None:
        """Keep samples for validation."""
        if self.validation:
            self.aside = data.set_aside(self.validation, self.n_clusters)

    @property
    def _heads(self) -> list[nn.Linear]:
        return [self.cluster_head, *self.further_heads]

    def _logits(self, z: Tensor) -> Tensor:
        return to_float32(self._heads[self.choice.number](z))

    def refresh(self, phase: str, epoch: int, batches: InOrder) -> None:
        """Before ``align``, keep a head; then as `CMMC.refresh`."""
        if phase == "align" and epoch == 0:
            self._choose(batches)
        super().refresh(phase, epoch, batches)

    def settle(self, batches: InOrder) -> None:
        """In ``contrast``, keep a head."""
        if self.phase.name == "contrast":
            self._choose(batches)

    def _choose(self, batches: InOrder) -> None:
        shape = (len(self._heads), *self.choice.unseen.shape)
        seen, unseen = (torch.zeros(shape, dtype=torch.long, device=self.device) for _ in range(2))
        for batch in batches:
            aside = self.aside[batch.index.to(self.device)] if len(self.aside) else None
            codes = self._encode(batch)
            for r, head in enumerate(self._heads):
                clusters = torch.stack([head(z).argmax(1) for z in codes])
                if aside is not None:
                    unseen[r] += agreement_tables(clusters[:, aside], self.n_clusters)
                    clusters = clusters[:, ~aside]
                seen[r] += agreement_tables(clusters, self.n_clusters)
        self.choice.choose(distributed.all_reduce_sum(seen), distributed.all_reduce_sum(unseen))

    def unseen(self) -> Tensor | None:
        """How the kept head's modalities agreed on the samples set aside, before it was trained on them."""
        return self.choice.told()
