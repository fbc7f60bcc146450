"""What methods share that make one code of all modalities, and let k-means assign it."""

from __future__ import annotations

from abc import abstractmethod

import torch
from torch import Tensor

from cmc.data.loader import Batch
from cmc.methods.centred import Centred


class Fused(Centred):
    """A method whose clusters are those of k-means on one code of all modalities together.

    A subclass makes `head`, and gives `encode` and `fuse`. Where modalities are missing, or one is asked alone,
    ``fuse`` is told which are there, and its code goes to the same centres.
    """

    @abstractmethod
    def encode(self, batch: Batch) -> list[Tensor]:
        """What is computed of every modality alone, one tensor of B rows each."""

    @abstractmethod
    def fuse(self, encoded: list[Tensor], present: Tensor | None = None) -> Tensor:
        """The code of all modalities together, B x D.

        Args:
            encoded: of `encode`.
            present: M x B, true where a sample has a modality; what others hold must not count. None where all have
                all.
        """

    def codes(self, batch: Batch) -> list[Tensor]:
        """The fused code, as the only one."""
        return [self.fuse(self.encode(batch))]

    def assignments(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Those of all modalities together, and of each one as if it were there alone."""
        encoded = self.encode(batch)
        alone = torch.eye(len(encoded), dtype=torch.bool, device=encoded[0].device)
        each = (self.fuse(encoded, own[:, None].expand(-1, batch.size)) for own in alone)
        return self._assigned(self.fuse(encoded)), torch.stack([self._assigned(code) for code in each])

    def assign_partly(self, batch: Batch, present: Tensor) -> Tensor:
        """Assignments by the modalities that are there."""
        return self._assigned(self.fuse(self.encode(batch), present))

    def _assigned(self, code: Tensor) -> Tensor:
        return self.head.assign([code])[0]
