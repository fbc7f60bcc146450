"""Long sweeps in one process."""

from __future__ import annotations

import gc
from typing import Any

from hydra.core.utils import JobReturn
from hydra.experimental.callback import Callback


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
