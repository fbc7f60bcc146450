"""MLflow, by Lightning's logger."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lightning_fabric.loggers.logger import rank_zero_experiment
from pytorch_lightning import loggers
from pytorch_lightning.utilities import rank_zero_only

from cmc.errors import UserError
from cmc.loggers.tracker import Tracker, flatten, keep_id, kept_id
from cmc.runs.outcome import Outcome

log = logging.getLogger(__name__)
_FILE = "sqlite:///"
_FILES = ("config.yaml", "metrics.json", "history.csv", "assignments.csv", "assignments_holdout.csv")


class MLFlowLogger(Tracker, loggers.MLFlowLogger):
    """One MLflow run for one run folder, taken up by a resumed run.

    Args:
        save_dir: the run folder.
        tracking_uri: where runs are kept: ``sqlite:///FILE``, beside which artifacts lie, or a server's address.
        settings: experiment_name, run_name, tags.
    """

    def __init__(self, save_dir: str, tracking_uri: str, **settings: Any) -> None:
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        for name in ("mlflow", "alembic", "pytorch_lightning.loggers.mlflow"):
            logging.getLogger(name).setLevel(logging.ERROR)  # they tell of tables made and experiments not found
        self._folder, self._begun = Path(save_dir), False
        if tracking_uri.startswith(_FILE):  # MLflow would take the present folder
            beside = Path(tracking_uri.removeprefix(_FILE)).resolve().parent
            settings = {"artifact_location": (beside / "mlruns").as_uri(), **settings}
        super().__init__(tracking_uri=tracking_uri, run_id=kept_id(self._folder, "mlflow"), **settings)

    @property
    @rank_zero_experiment
    def experiment(self) -> Any:
        """The ``MlflowClient`` of the first process; the run is begun when first asked for.

        Raises:
            UserError: MLflow refuses the run, or cannot be reached.
        """
        if self._begun:
            return super().experiment
        from mlflow.exceptions import MlflowException

        try:
            client: Any = super().experiment
        except MlflowException as error:
            raise UserError(f"logger.mlflow: {self._tracking_uri}: {' '.join(str(error).split())[:300]}") from None
        self._begun, self._is_new = True, kept_id(self._folder, "mlflow") is None
        client.update_run(self._run_id, status="RUNNING")
        keep_id(self._folder, "mlflow", str(self._run_id))
        log.info("MLflow: run %s in %s", self._run_id, self._tracking_uri)
        return client

    @rank_zero_only
    def log_hyperparams(self, params: Any) -> None:
        """Log the settings of a new run; MLflow lets nobody change them."""
        if self.experiment and self._is_new:
            super().log_hyperparams(params)

    @rank_zero_only
    def describe(self, facts: Mapping[str, str]) -> None:
        """Tag the run."""
        for name, value in facts.items():
            self.experiment.set_tag(self._run_id, name, value)

    @rank_zero_only
    def publish(self, outcome: Outcome) -> None:
        """Keep files, pictures and gallery as artifacts; figures of the report become metrics, words tags."""
        from mlflow.entities import RunTag

        for path in (*(outcome.folder / name for name in _FILES), *outcome.figures):
            if path.exists():
                place = "figures" if path in outcome.figures else None
                self.experiment.log_artifact(self._run_id, str(path), place)
        for path in outcome.gallery:
            if path.is_dir():
                self.experiment.log_artifacts(self._run_id, str(path), path.name)
            else:
                self.experiment.log_artifact(self._run_id, str(path))
        report = flatten(outcome.report)
        numbers = {k: v for k, v in report.items() if isinstance(v, int | float) and not isinstance(v, bool)}
        super(Tracker, self).log_metrics(numbers, sum(outcome.report["phases"].values()) - 1)  # named already
        tags = [RunTag(name, str(value)) for name, value in report.items() if name not in numbers]
        self.experiment.log_batch(self._run_id, tags=tags)
