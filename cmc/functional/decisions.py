"""What is read off assignment probabilities: the cluster, how sure it is, and what each modality would say alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from cmc.functional.calibration import calibrated


class Decisions(NamedTuple):
    """Of B samples.

    Attributes:
        cluster: B, int64.
        confidence: B, the largest probability.
        calibrated: B, how probably another modality says this cluster (`cmc.functional.calibration`); None where
            modalities have no assignments of their own, or no temperature is known.
        margin: B, by how much it exceeds the second largest.
        own: B x M, int64: the cluster that each modality alone would give, -1 where a sample lacks it; None where
            modalities have no assignments of their own.
    """

    cluster: Tensor
    confidence: Tensor
    calibrated: Tensor | None
    margin: Tensor
    own: Tensor | None

    def each(self, function: Callable[[Tensor], Tensor]) -> Decisions:
        """With a function applied to every tensor."""
        return Decisions(*(None if x is None else function(x) for x in self))  # type: ignore[arg-type]

    def columns(
        self, modalities: Sequence[str]
    ) -> tuple[list[int], list[float], list[float] | None, list[float], dict[str, list[int]] | None]:
        """Cluster, both confidences, margin, and modality -> its own cluster, as tables take them."""
        own = None if self.own is None else dict(zip(modalities, self.own.T.tolist(), strict=True))
        known = None if self.calibrated is None else self.calibrated.tolist()
        return self.cluster.tolist(), self.confidence.tolist(), known, self.margin.tolist(), own


def decide(
    assignment: Tensor, each: Tensor | None = None, present: Tensor | None = None, temperature: float | None = None
) -> Decisions:
    """Read off the assignments of B samples.

    Args:
        assignment: B x K probabilities, K at least 2.
        each: M x B x K, those of each modality; None where there are none.
        present: B x M, true where a sample has a modality; None for all.
        temperature: of the calibrated confidence; None where it is not known.
    """
    assignment = assignment.float()
    confidence, cluster = assignment.max(1)
    best = assignment.topk(2, dim=1).values
    own = known = None
    if each is not None and temperature is not None:
        known = calibrated(each.float(), cluster, temperature, present)
    if each is not None:
        said = each.argmax(2)
        own = said.T if present is None else torch.where(present, said.T, -1)
    return Decisions(cluster, confidence, known, best[:, 0] - best[:, 1], own)
