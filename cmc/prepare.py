"""``python -m cmc.prepare``: a raw download becomes a feature folder; stopped and started again, it goes on."""

from __future__ import annotations

import os

import hydra
from omegaconf import DictConfig

from cmc.cli import command, register_resolvers, shipped, task
from cmc.config.schema import check, conf_dir
from cmc.errors import UserError
from cmc.training.launcher import check_gpus, launch_preparation, n_devices
from cmc.utils.signals import preemptible

register_resolvers()


@hydra.main(version_base="1.3", config_path=str(conf_dir()), config_name="prepare")
@task
def _prepare(config: DictConfig) -> None:
    check(config, shipped("prepare"))
    if (n := _n_processes(config)) > 1:
        launch_preparation(config, n)
        return
    from cmc.training.preparation import prepare

    with preemptible():
        prepare(config)


def _n_processes(config: DictConfig) -> int:
    """How many processes are to share the work.

    Raises:
        UserError: more than there are devices, or settings of training.
    """
    trainer, n = config.trainer, n_devices(config)
    if trainer.num_nodes > 1:
        raise UserError(f"trainer.num_nodes: {trainer.num_nodes} given; cmc.prepare shares the work on one machine")
    if trainer.precision != "auto":
        raise UserError(f"trainer.precision: {trainer.precision} given; features.precision is that of the models")
    if "LOCAL_RANK" in os.environ:
        raise UserError("cmc.prepare starts its processes itself: call it without torchrun, with trainer.devices=N")
    if n > 1:
        if config.features.device != "auto":
            raise UserError(
                f"features.device: {config.features.device} given, but each of {n} processes has a device of its own "
                "(trainer.devices); leave it out"
            )
        cores = max(2, os.cpu_count() or 1)
        if not check_gpus(trainer.accelerator, n) and n > cores:
            raise UserError(f"trainer.devices: {n} given, but {cores} CPU cores are here; give at most that")
    return n


def main() -> None:
    """Run the command."""
    command(_prepare, "prepare")


if __name__ == "__main__":
    main()
