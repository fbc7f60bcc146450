"""TensorBoard, by Lightning's logger."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from pytorch_lightning import loggers
from pytorch_lightning.utilities import rank_zero_only

from cmc.loggers.tracker import Tracker, flatten
from cmc.runs.outcome import Outcome


class TensorBoardLogger(Tracker, loggers.TensorBoardLogger):
    """Event files in the run folder's ``tensorboard/``: scalars, pictures, the embedding, the row of HPARAMS.

    Args:
        save_dir: the run folder.
    """

    def __init__(self, save_dir: str) -> None:
        super().__init__(save_dir, name="tensorboard", version="", default_hp_metric=False)
        self._config: dict[str, Any] = {}

    @rank_zero_only
    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        """Keep them for `publish`: HPARAMS shows them beside the scores."""
        self._config = flatten(params)

    def describe(self, facts: Mapping[str, str]) -> None:
        """Nothing: TensorBoard has no tags; the report at the end says it."""

    @rank_zero_only
    def publish(self, outcome: Outcome) -> None:
        """Log the pictures, the embedding with its clusters, the report, and settings beside scores."""
        from matplotlib.image import imread

        last = sum(outcome.report["phases"].values()) - 1
        for path in outcome.figures:
            self.experiment.add_image(f"figures/{path.stem}", imread(path)[..., :3], last, dataformats="HWC")
        if outcome.embeddings is not None:
            metadata = [[str(value) for value in row[1:]] for row in outcome.points.rows]
            features = np.asarray(outcome.embeddings)
            self.experiment.add_embedding(features, metadata, None, last, "embedding", outcome.points.columns[1:])
        report = flatten(outcome.report)
        lines = "\n".join(f"| {name} | {value} |" for name, value in report.items())
        self.experiment.add_text("report", f"| | |\n|---|---|\n{lines}", last)
        self.noted = {}
        measured = {k: v for k, v in report.items() if k.startswith(("scores/", "holdout/", "label_free/"))}
        super().log_hyperparams({k: _plain(v) for k, v in self._config.items()}, measured, last)

    @rank_zero_only
    def save(self) -> None:
        """Write what is pending; the run's config.yaml holds the settings, not another file."""
        self.experiment.flush()


def _plain(value: Any) -> Any:
    return value if isinstance(value, bool | int | float | str) else str(value)
