"""One of several networks or heads: that whose modalities agree best, without labels."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from cmc.functional.agreement import label_free


class Choice(nn.Module):
    """Which one is kept, and how its modalities agreed on samples that it had not seen.

    Args:
        n_modalities: M.
        n_clusters: K.

    Attributes:
        unseen: M x M x K x K, int64: the kept one's counts (`cmc.functional.agreement`) when it was chosen; 0 where no
            samples were kept out of training.
    """

    kept: Tensor
    unseen: Tensor

    def __init__(self, n_modalities: int, n_clusters: int) -> None:
        super().__init__()
        shape = (n_modalities, n_modalities, n_clusters, n_clusters)
        self.register_buffer("kept", torch.tensor(0))
        self.register_buffer("unseen", torch.zeros(shape, dtype=torch.long))
        self._number: int | None = None  # of `kept`, which a step need not wait for

    @property
    def number(self) -> int:
        """Of the one that is kept."""
        if self._number is None:
            self._number = int(self.kept)
        return self._number

    def choose(self, seen: Tensor, unseen: Tensor) -> None:
        """Keep the one whose modalities agree best on clusters of equal size, on samples that none has seen.

        Where there are no such samples, those that were trained on must do.

        Args:
            seen: R x M x M x K x K: counts of samples that were trained on, over all processes.
            unseen: the same of those kept out.
        """
        qualities = [label_free(table)["quality"] for table in (unseen if unseen.any() else seen).cpu()]
        self._number = qualities.index(max(qualities))
        self.kept.fill_(self._number)
        self.unseen = unseen[self._number].clone()

    def told(self) -> Tensor | None:
        """`unseen`; None where there was nothing."""
        return self.unseen if self.unseen.any() else None

    def _load_from_state_dict(self, *arguments: Any) -> None:
        self._number = None
        super()._load_from_state_dict(*arguments)
