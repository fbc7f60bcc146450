"""The logger of the run folder: ``history.csv``, one row an epoch."""

from __future__ import annotations

import csv
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pytorch_lightning.loggers import Logger
from pytorch_lightning.utilities import rank_zero_only

from cmc.runs.history import read_history, write_history


class HistoryLogger(Logger):
    """Every loss term of every epoch, and the scores where they were computed.

    Rows are on disk as soon as their epoch ends. A resumed run keeps the rows before the epoch it goes on with.

    Args:
        save_dir: the run folder; the file's columns are ``epoch``, ``phase`` and whatever is logged.
        phases: name -> ``{epochs: ...}``, from which an epoch's phase is told.
    """

    def __init__(self, save_dir: str, phases: Mapping[str, Mapping[str, Any]]) -> None:
        super().__init__()
        self._path = Path(save_dir) / "history.csv"
        self._phase_of = [name for name, settings in phases.items() for _ in range(settings["epochs"])]
        self._columns = ["epoch", "phase"]
        self._rows: list[dict[str, Any]] | None = None

    @property
    def name(self) -> str:
        """The file's name."""
        return self._path.name

    @property
    def version(self) -> str:
        """There is one."""
        return ""

    @rank_zero_only
    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        """Nothing: the run folder has config.yaml."""

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Append the row of epoch ``metrics["epoch"]``; what other callbacks log between epochs is passed over."""
        if "loss" not in metrics:
            return
        epoch = int(metrics["epoch"])
        row = {**metrics, "epoch": epoch, "phase": self._phase_of[epoch]}
        rows = self._rows if self._rows is not None else self._before(epoch)
        grown = [name for name in row if name not in self._columns]
        self._columns += grown
        rows.append(row)
        if grown or self._rows is None:
            write_history(self._path.parent, self._columns, rows)
        else:
            self._append(row)
        self._rows = rows

    def _append(self, row: Mapping[str, Any]) -> None:
        """Add a row, whole or not at all."""
        size = self._path.stat().st_size
        try:
            with self._path.open("a", newline="") as file:
                csv.DictWriter(file, self._columns, restval="").writerow(row)
        except OSError as error:
            os.truncate(self._path, size)
            error.filename = error.filename or str(self._path)
            raise

    def _before(self, epoch: int) -> list[dict[str, Any]]:
        """The rows of the epochs before, of a resumed run."""
        rows = read_history(self._path.parent) if epoch else []
        self._columns = list(rows[0]) if rows else self._columns
        return rows[:epoch]
