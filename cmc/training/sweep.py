"""Sweeps: what jobs leave in memory, and whether their objectives compare."""

from __future__ import annotations

import gc
import logging
from pathlib import Path
from typing import Any

from hydra.core.utils import JobReturn
from hydra.experimental.callback import Callback

from cmc.errors import UserError
from cmc.runs.report import read_any_report

log = logging.getLogger(__name__)
_KINDS = ("training", "held-out")


class ReleaseMemory(Callback):
    """Let go of what a finished job held.

    Hydra keeps two configurations of every job until the sweep's end, which nobody reads; what the job returned, and
    the overrides that made it, stay. A trainer and what it holds, the data in memory among it, refer to each other in
    circles, which Python would free some jobs later.
    """

    def on_job_end(self, config: Any, job_return: JobReturn, **kwargs: Any) -> None:
        """After each job."""
        job_return.cfg = job_return.hydra_cfg = None
        gc.collect()


class OneMeasure(Callback):
    """Warn where a search compares what does not compare: quality on samples that training has and has not seen."""

    def __init__(self) -> None:
        self._first: bool | None = None
        self._told = False

    def on_job_end(self, config: Any, job_return: JobReturn, **kwargs: Any) -> None:
        """After each job, before what it returned is let go of."""
        if self._told or config.get("objective") != "label_free.quality":
            return
        try:
            measures = read_any_report(Path(config.hydra.runtime.output_dir)).get("label_free") or {}
        except UserError:  # it has not finished
            return
        unseen = "agreement_held_out" in measures
        if self._first is None:
            self._first = unseen
        if unseen == self._first:
            return
        self._told = True
        log.warning(
            "objective: label_free.quality of this job is of %s samples, of earlier ones of %s samples: they do not "
            "compare; give all jobs data.holdout or method.validation, or none of them",
            *(_KINDS[unseen], _KINDS[not unseen]),
        )
