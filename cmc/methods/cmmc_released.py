"""CMMC as its authors released it: where the code leaves the equations that `cmc.methods.cmmc` keeps to."""

from __future__ import annotations

from torch import Tensor

from cmc.data.loader import Batch
from cmc.methods.cmmc import CMMC


class ReleasedCMMC(CMMC):
    """CMMC with the choices of the authors' release; its arguments are those of `cmc.methods.cmmc.CMMC`.

    - The size term of L_Q counts in every pair that a modality is part of (the same for two modalities).
    - The cross-entropy of ``align`` is fed q^m, not its logits: a second softmax.

    Source: the release of MFLVC (CVPR 2022).
    """

    def _contrast(self, batch: Batch) -> dict[str, Tensor]:
        terms = super()._contrast(batch)
        return {**terms, "imbalance": (len(self.modalities) - 1) * terms["imbalance"]}

    def _align(self, batch: Batch) -> dict[str, Tensor]:
        return {"alignment": self._taught([self._logits(z).softmax(1) for z in self._encode(batch)], batch)}
