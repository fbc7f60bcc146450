"""What W&B, TensorBoard and MLflow have in common: an epoch's row by sections, and a run's outcome at its end."""

from __future__ import annotations

import json
from abc import abstractmethod
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from pytorch_lightning.loggers import Logger
from pytorch_lightning.utilities import rank_zero_only

from cmc.runs.outcome import Outcome
from cmc.runs.report import LABEL_FREE, SCORES
from cmc.utils.atomic import atomic_write

IDS = "trackers.json"  # in the run folder: tracker -> the run's id there, by which a resumed run goes on
_SECTIONS = {
    "epoch": "epoch",
    "loss": "loss/total",
    **{name: f"scores/{name}" for name in SCORES},
    **{name: f"label_free/{name}" for name in LABEL_FREE},
}


class Tracker(Logger):
    """Mixed into one of Lightning's loggers, which does the talking.

    Attributes:
        noted: figures that the next epoch's row holds besides, by the callback `cmc.callbacks.Tracking`.
    """

    noted: Mapping[str, float] = MappingProxyType({})

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Log an epoch: ``scores/acc``, ``label_free/quality``, ``loss/total`` and ``loss/<term>``, and what was noted.

        Scores and measures are named as in ``metrics.json``, with ``/`` for ``.``.
        """
        row = {_sectioned(name): value for name, value in metrics.items()} | dict(self.noted)
        super().log_metrics(row, step)  # type: ignore[safe-super]

    @abstractmethod
    def describe(self, facts: Mapping[str, str]) -> None:
        """Tag the run with what is known once its data are read."""

    @abstractmethod
    def publish(self, outcome: Outcome) -> None:
        """Show what a finished run left in its folder."""


def _sectioned(name: str) -> str:
    return name if "/" in name else _SECTIONS.get(name, f"loss/{name}")


def keep_id(folder: Path, tracker: str, run_id: str) -> None:
    """Note a run's id with a tracker in ``trackers.json``."""
    ids = _ids(folder) | {tracker: run_id}
    with atomic_write(folder / IDS) as path:
        path.write_text(json.dumps(ids, indent=2) + "\n")


def kept_id(folder: Path, tracker: str) -> str | None:
    """The id noted by `keep_id`; None for a run that is new to the tracker."""
    return _ids(folder).get(tracker)


def _ids(folder: Path) -> dict[str, str]:
    ids: dict[str, str] = json.loads((folder / IDS).read_text()) if (folder / IDS).exists() else {}
    return ids


def flatten(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """``{"scores": {"acc": 0.9}}`` as ``{"scores/acc": 0.9}``; what is None is left out."""
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{prefix}{key}/")
        elif value is not None:
            flat[f"{prefix}{key}"] = value
    return flat
