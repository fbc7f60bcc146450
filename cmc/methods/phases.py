"""The phases of a training run and which of them an epoch belongs to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cmc.errors import UserError
from cmc.utils import validate


@dataclass(frozen=True)
class Phase:
    """A stretch of epochs that share an objective and a batch size.

    Attributes:
        name: its key under ``method.phases``.
        epochs: how many epochs it lasts; 0 leaves it out.
        batch_size: samples a global batch, None for all of them.
        chunk_size: samples a forward pass when a batch is processed piece by piece, None for the whole batch.
    """

    name: str
    epochs: int
    batch_size: int | None
    chunk_size: int | None = None


class Schedule:
    """Phases in their order.

    Args:
        phases: name -> ``{epochs, batch_size (optional), chunk_size (optional)}``.
        batch_size: of phases that name none: a number or ``"full"``.

    Raises:
        UserError: a phase without epochs at all, or a size that is no positive number.
    """

    def __init__(self, phases: Mapping[str, Mapping[str, Any]], batch_size: int | str) -> None:
        self.phases = tuple(
            Phase(
                name=name,
                epochs=validate.whole(f"method.phases.{name}.epochs", {"epochs": None, **settings}["epochs"], least=0),
                batch_size=_size(
                    f"method.phases.{name}.batch_size" if "batch_size" in settings else "method.batch_size",
                    settings.get("batch_size", batch_size),
                ),
                chunk_size=_size(f"method.phases.{name}.chunk_size", settings.get("chunk_size", "full")),
            )
            for name, settings in phases.items()
        )
        if not self.n_epochs:
            raise UserError(f"method.phases: {list(phases)} have 0 epochs together; give one of them at least 1")

    @property
    def n_epochs(self) -> int:
        """Epochs of all phases together."""
        return sum(phase.epochs for phase in self.phases)

    def epochs(self, name: str) -> int:
        """Epochs of a phase; 0 where there is no such phase."""
        return sum(phase.epochs for phase in self.phases if phase.name == name)

    def at(self, epoch: int) -> tuple[Phase, int]:
        """The phase that epoch ``epoch`` of the run (from 0) belongs to, and its number within that phase.

        An epoch past the end belongs to the last phase.
        """
        for phase in self.phases:
            if epoch < phase.epochs:
                return phase, epoch
            epoch -= phase.epochs
        last = next(phase for phase in reversed(self.phases) if phase.epochs)
        return last, last.epochs + epoch


def _size(key: str, value: Any) -> int | None:
    full = value == "full"
    validate.require(key, value, full or validate.is_whole(value, 1), "a whole number of at least 1, or full")
    return None if full else value
