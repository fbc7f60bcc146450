"""CMMC as its authors released it: where the code leaves the equations that `cmc.methods.cmmc` keeps to."""

from __future__ import annotations

from torch import Tensor

from cmc.data.loader import Batch
from cmc.functional.matching import match
from cmc.methods.cmmc import CMMC
from cmc.methods.gaps import gaps_of, there
from cmc.nn.multilevel import MultiLevelNetwork


class ReleasedCMMC(CMMC):
    """CMMC with the choices of the authors' release; its arguments are those of `cmc.methods.cmmc.CMMC`.

    - The size term of L_Q counts in every pair that a modality is part of (the same for two modalities).
    - The cross-entropy of ``align`` is fed q^m, not its logits: a second softmax.
    - Where several matchings of pseudo labels and q are best, that is taken which the solver finds for q's clusters as
      rows.
    - float32.

    What still differs: the draws of a seed; and where the release has settings for a data set by name, they are to be
    given: ``data.scaling=none`` for BDGP and CCV, ``method.phases.contrast.epochs`` of 10 for BDGP and 100 for Fashion.

    Source: the release of MFLVC (CVPR 2022).
    """

    def _contrast(self, network: MultiLevelNetwork, batch: Batch) -> dict[str, Tensor]:
        terms = super()._contrast(network, batch)
        return {**terms, "imbalance": (len(self.modalities) - 1) * terms["imbalance"]}

    def _named(self, table: Tensor) -> Tensor:
        return match(table.T).argsort()

    def _align(self, network: MultiLevelNetwork, batch: Batch) -> dict[str, Tensor]:
        gaps = gaps_of(batch)
        scores = [network.logits(z).softmax(1) for z in network.encode(there(batch, gaps))]
        return {"alignment": self._taught(scores, batch, gaps)}
