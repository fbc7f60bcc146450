"""One of several networks: that whose modalities agree best, without labels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from cmc.functional.agreement import concordance, label_free


class Choice(nn.Module):
    """Which ones are still looked at, which one is kept, and how its modalities agreed on samples it had not seen.

    They are judged by agreement x balance x concordance (`cmc.functional.agreement`).

    Args:
        n: R, how many there are.
        n_modalities: M.
        n_clusters: K.

    Attributes:
        left: R, whether each one is still looked at.
        kept: the number of the one that is kept.
        unseen: M x M x K x K, int64: the kept one's counts (`cmc.functional.agreement`) when it was chosen; 0 where no
            samples were kept out of training.
    """

    left: Tensor
    kept: Tensor
    unseen: Tensor

    def __init__(self, n: int, n_modalities: int, n_clusters: int) -> None:
        super().__init__()
        shape = (n_modalities, n_modalities, n_clusters, n_clusters)
        self.register_buffer("left", torch.ones(n, dtype=torch.bool))
        self.register_buffer("kept", torch.tensor(0))
        self.register_buffer("unseen", torch.zeros(shape, dtype=torch.long))
        self._number: int | None = None  # of `kept`, which a step need not wait for
        self._running: list[int] | None = None  # of `left`

    @property
    def number(self) -> int:
        """Of the one that is kept."""
        if self._number is None:
            self._number = int(self.kept)
        return self._number

    @property
    def running(self) -> list[int]:
        """Of those that are still looked at."""
        if self._running is None:
            self._running = self.left.nonzero().flatten().tolist()
        return self._running

    def choose(self, seen: Tensor, unseen: Tensor) -> None:
        """Keep the one whose modalities agree best on clusters of equal size, on samples that none has seen.

        Where there are no such samples, those that were trained on must do.

        Args:
            seen: R x M x M x K x K: counts of samples that were trained on, over all processes.
            unseen: the same of those kept out.
        """
        self._number = self._ranked(seen, unseen)[0]
        self.kept.fill_(self._number)
        self.unseen = unseen[self._number].clone()

    def halve(self, seen: Tensor, unseen: Tensor, kinds: Sequence[int]) -> None:
        """Look on at the better half of each kind (successive halving: Jamieson and Talwalkar, AISTATS 2016).

        Kinds do not compare before they are trained: one may agree early, and another better in the end.

        Args:
            seen: as for `choose`.
            unseen: the same.
            kinds: R, of which kind each one is.
        """
        ranked, going_on = self._ranked(seen, unseen), []
        for kind in set(kinds):
            those = [r for r in ranked if kinds[r] == kind]
            going_on += those[: (len(those) + 1) // 2]
        self._running = sorted(going_on)
        self.left.fill_(False)
        self.left[self._running] = True

    def _ranked(self, seen: Tensor, unseen: Tensor) -> list[int]:
        """Those still looked at, the best first."""
        tables = (unseen if unseen.any() else seen).cpu()
        quality = {r: label_free(tables[r])["quality"] * concordance(tables[r]) for r in self.running}
        return sorted(quality, key=lambda r: -quality[r])

    def told(self) -> Tensor | None:
        """`unseen`; None where there was nothing."""
        return self.unseen if self.unseen.any() else None

    def _load_from_state_dict(self, *arguments: Any) -> None:
        self._number = self._running = None
        super()._load_from_state_dict(*arguments)
