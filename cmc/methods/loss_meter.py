"""The loss terms of an epoch, summed on the device until somebody asks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from cmc import distributed


class LossMeter:
    """Means of loss terms over the samples of an epoch so far, of all processes.

    Attributes:
        n_seen: samples that all processes have trained on.
    """

    def __init__(self) -> None:
        self.n_seen = 0
        self._sums: dict[str, Tensor] = {}
        self._steps = torch.zeros(0)
        self._read: tuple[int, dict[str, float]] = (-1, {})

    def add(self, losses: Mapping[str, Tensor], weight: float, step: int, n_steps: int) -> Tensor:
        """Add a piece of a step's objective.

        Args:
            losses: its terms, scalars.
            weight: samples that they are the mean of, here.
            step: from 0.
            n_steps: of the epoch.

        Returns:
            The sum of the terms, with its graph.
        """
        objective = torch.stack(list(losses.values())).sum()
        for name, value in losses.items():
            weighted = (value.detach() * weight).to(_wide(value))
            self._sums[name] = self._sums[name] + weighted if name in self._sums else weighted
        if len(self._steps) != n_steps:
            self._steps = torch.zeros(n_steps, device=objective.device)
        self._steps[step] += objective.detach()
        return objective

    def read(self, also: Tensor) -> float:
        """Read the sums from the device, and with them the sum over processes of a scalar, which is returned."""
        own = [x.to(_wide(also)) for x in (*self._sums.values(), also)]
        *sums, last = distributed.all_reduce_sum(torch.stack(own)).tolist()
        self._read = (self.n_seen, dict(zip(self._sums, sums, strict=True)))
        return float(last)

    def sums(self) -> dict[str, float]:
        """The sum of each term over samples and processes; read from the device once a step at most."""
        if not self._sums:
            return {}
        if self._read[0] != self.n_seen:
            self.read(next(iter(self._sums.values())))
        return self._read[1]

    def means(self) -> dict[str, float]:
        """The mean of each term."""
        return {name: value / self.n_seen for name, value in self.sums().items()}

    def first_bad_step(self) -> int | None:
        """The first step (from 0) whose objective was no finite number, if any; every process must ask."""
        bad = (~distributed.all_reduce_sum(self._steps).isfinite()).nonzero()
        return int(bad[0]) if len(bad) else None

    def state_dict(self) -> dict[str, Any]:
        """The sums of all processes."""
        sums = {name: torch.tensor(value, dtype=torch.float64) for name, value in self.sums().items()}
        return {"sums": sums, "n_seen": self.n_seen}

    @classmethod
    def from_state_dict(cls, state: Mapping[str, Any], first: bool) -> LossMeter:
        """Make one that goes on from what ``state_dict`` gave; the sums go to the first process."""
        meter = cls()
        meter._sums = {name: value if first else torch.zeros_like(value) for name, value in state["sums"].items()}
        meter.n_seen = state["n_seen"]
        return meter


def _wide(x: Tensor) -> torch.dtype:
    """Double precision where the device has it: sums of float32 numbers do not depend on their order then."""
    return torch.float32 if x.device.type == "mps" else torch.float64
