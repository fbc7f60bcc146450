"""The closing table, printed as soon as the scores are there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pytorch_lightning import Callback, Trainer
from rich.console import Console

from cmc.runs.report import read_report, scored_text
from cmc.runs.summary import show


class Closing(Callback):
    """After the results, before the pictures: print what ``metrics.json`` holds."""

    def on_fit_end(self, trainer: Trainer, pl_module: Any) -> None:
        """Print, on the first process alone."""
        if not trainer.is_global_zero:
            return
        folder = Path(trainer.default_root_dir)
        report = read_report(folder)
        show(report, f"see {folder}/assignments.csv")
        if told := scored_text(report):
            Console().print(told, soft_wrap=True)
