"""Lightning's Trainer as CMC has it, for training and for the preparation of features."""

from __future__ import annotations

from typing import Any

from hydra.errors import InstantiationException
from hydra.utils import instantiate
from lightning_fabric.utilities.exceptions import MisconfigurationException
from omegaconf import DictConfig, OmegaConf
from pytorch_lightning import Trainer

from cmc.distributed.strategy import Processes
from cmc.errors import UserError

LOOP: dict[str, Any] = {
    "reload_dataloaders_every_n_epochs": 1,
    "fast_dev_run": False,  # which Lightning would take from the environment otherwise, as the next three
    "limit_train_batches": 1.0,
    "max_time": None,
    "max_steps": -1,
    "enable_progress_bar": False,
    "enable_model_summary": False,
    "num_sanity_val_steps": 0,
    "log_every_n_steps": 1,
}


def make_trainer(config: DictConfig, backend: str | None = None, **settings: Any) -> Trainer:
    """Lightning's Trainer, over `Processes` where there are several of ours.

    Args:
        config: of which ``trainer`` is taken.
        backend: by which processes talk; None for the one that suits their devices.
        settings: go before what that says.

    Raises:
        UserError: a strategy of Lightning's for several processes; what Lightning says of devices that are not there
            and of settings that it does not know.
    """
    asked = config.trainer.get("strategy", "auto")
    devices = config.trainer.devices if isinstance(config.trainer.devices, int) else len(config.trainer.devices)
    if devices * config.trainer.get("num_nodes", 1) > 1:
        if asked not in ("auto", "ddp"):
            raise UserError(f"trainer.strategy: {asked} given; with several processes it must be auto or ddp")
        settings["strategy"] = Processes(process_group_backend=backend)
    try:
        own = OmegaConf.masked_copy(config.trainer, [str(key) for key in config.trainer if key != "threads"])
        trainer: Trainer = instantiate(own, **LOOP, **settings)
    except InstantiationException as error:
        if isinstance(error.__cause__, MisconfigurationException | ValueError | RuntimeError | TypeError):
            raise UserError(f"trainer: {' '.join(str(error.__cause__).split())}") from None
        raise
    return trainer
