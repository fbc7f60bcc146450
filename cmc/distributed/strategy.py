"""The Lightning strategy of several processes: gradients are left to `cmc.distributed`, nothing is wrapped."""

from __future__ import annotations

import logging
import warnings
from typing import ClassVar

from pytorch_lightning.strategies import DDPStrategy


class Processes(DDPStrategy):
    """One process a device, as Lightning's DDP starts them, without DistributedDataParallel around the method.

    The wrapper averages gradients over processes in every backward pass; CMC's shares of an objective add up, and a
    step may take several passes. It also needs a flag where a phase leaves parameters without a gradient; here none is.

    Attributes:
        averages_gradients: whether a backward pass leaves the mean over processes, as Lightning's own strategies do.
    """

    averages_gradients: ClassVar[bool] = False

    def configure_ddp(self) -> None:
        """Leave the method as it is."""


def quiet() -> None:
    """Keep Lightning's hints for programmers out of a user's sight, in this process."""
    for name in ("pytorch_lightning", "lightning_fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", module="pytorch_lightning")
    warnings.filterwarnings("ignore", category=FutureWarning, module="torch")
