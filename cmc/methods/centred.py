"""What methods share that learn codes and let k-means assign them."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable

import torch
from torch import Tensor

from cmc.data.loader import Batch, InOrder
from cmc.methods.base import Method
from cmc.nn.kmeans_head import KMeansHead

ROWS = 100_000  # that k-means is run on: evenly spaced ones, where there are more
_CHUNK = 4096


class Centred(Method):
    """A method whose clusters are those of k-means on its codes; a subclass makes `head`, and gives `codes`.

    The centres are found anew whenever assignments are to be read (`settle`), of all training samples or, of more, of
    100,000 evenly spaced ones. They live in buffers, and assign held-out and new samples.

    Attributes:
        head: the k-means.
    """

    head: KMeansHead

    @abstractmethod
    def codes(self, batch: Batch) -> list[Tensor]:
        """Every modality's code, B x width; each a function of that modality alone."""

    def all_codes(self, batches: InOrder, codes: Callable[[Batch], list[Tensor]] | None = None) -> list[Tensor]:
        """Codes of all samples, or of evenly spaced ones, N x width a modality; the same on every process.

        Args:
            batches: a pass over all samples.
            codes: those of a batch; None for `codes`.

        Raises:
            Diverged: a code is no finite number.
        """
        chunks = batches.spaced(ROWS).chunks(_CHUNK)
        every = [torch.cat(parts) for parts in zip(*map(codes or self.codes, chunks), strict=True)]
        for each in every:
            self.require_finite("codes", each)
        return every

    def settle(self, batches: InOrder) -> None:
        """Find the centres."""
        self.head.fit(self.all_codes(batches))

    def assign(self, batch: Batch) -> Tensor:
        """How probable each cluster is by all modalities together, B x K; the nearest centre's is the largest."""
        return self.assignments(batch)[0]

    def assign_each(self, batch: Batch) -> Tensor:
        """The same by each modality alone, against its part of the centres, M x B x K."""
        return self.assignments(batch)[1]

    def assignments(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Both from the same codes."""
        return self.head.assign(self.codes(batch))

    def assign_partly(self, batch: Batch, present: Tensor) -> Tensor:
        """The same by the modalities that are there, against their parts of the centres."""
        return self.head.assign_partly(self.codes(batch), present)

    def embed(self, batch: Batch) -> Tensor:
        """What k-means clusters: the modalities' codes, scaled, side by side."""
        return self.head.joined(self.codes(batch))
