"""A warning when all samples of a modality fall into one cluster."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from torch import Tensor

log = logging.getLogger(__name__)


class CollapseWarning:
    """Says once of each modality that all its samples are in one cluster, and once that they no longer are.

    Args:
        method: its name, which opens the line.
        modalities: their names.
    """

    def __init__(self, method: str, modalities: Iterable[str]) -> None:
        self._method, self._modalities = method, tuple(modalities)
        self._collapsed: dict[str, bool] = {}

    def look(self, sizes: Tensor, epoch: int) -> None:
        """Look at the clusters of the moment.

        Args:
            sizes: M x K: samples in each cluster of each modality.
            epoch: from 1.
        """
        for name, occupied in zip(self._modalities, (sizes > 0).sum(1).tolist(), strict=True):
            said = (self._method, name, epoch)
            if occupied == 1 and name not in self._collapsed:
                self._collapsed[name] = True
                log.warning("%s: all samples of %s are in one cluster at epoch %d; the run goes on", *said)
            elif occupied > 1 and self._collapsed.get(name):
                self._collapsed[name] = False
                log.warning("%s: samples of %s are in %d clusters again at epoch %d", *said[:2], occupied, epoch)
