"""``python -m cmc.run``: train one method on one data set, and leave a run folder."""

from __future__ import annotations

import os
import sys

import hydra
from omegaconf import DictConfig

from cmc.cli import command, conf_dir, register_resolvers, shipped, task
from cmc.config import check

register_resolvers()


@hydra.main(version_base="1.3", config_path=str(conf_dir()), config_name="config")
@task
def _run(config: DictConfig) -> None:
    from hydra.core.hydra_config import HydraConfig

    state = HydraConfig.get()
    check(config, shipped("config"))

    from cmc.train import train

    train(config, state.runtime.output_dir, list(state.overrides.task))


def main() -> None:
    """The ``cmc`` command; like ``python -m cmc.run`` it finds classes in the folder that it is called from."""
    if (here := os.getcwd()) not in sys.path:
        sys.path.append(here)
    command(_run)


if __name__ == "__main__":
    main()
