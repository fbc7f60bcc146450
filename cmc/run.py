"""``python -m cmc.run``: train one method on one data set, and leave a run folder."""

from __future__ import annotations

import json
import logging
import os
import sys
from pathlib import Path
from typing import Any

import hydra
from omegaconf import DictConfig, OmegaConf

from cmc.cli import command, conf_dir, register_resolvers, shipped, task
from cmc.config import check, shorten
from cmc.errors import UserError
from cmc.launch import launch, n_local
from cmc.preflight import check_figures, check_loggers
from cmc.runs import read_yaml
from cmc.trust import named_packages

register_resolvers()
log = logging.getLogger(__name__)


@hydra.main(version_base="1.3", config_path=str(conf_dir()), config_name="config")
@task
def _run(config: DictConfig) -> float | None:
    from hydra.core.hydra_config import HydraConfig

    state = HydraConfig.get()
    check(config, shipped("config"))
    folder, overrides = state.runtime.output_dir, list(state.overrides.task)
    if config.resume_sweep:
        shorten(config)
        config, overrides, report = _taken_up(config, Path(folder), overrides)
        if report is not None:
            return _objective(report, config.objective)
    return _objective(_trained(config, folder, overrides), config.objective)


def _trained(config: DictConfig, folder: str, overrides: list[str]) -> dict[str, Any]:
    """Train here, or in as many processes as the trainer asks for."""
    saved = Path(folder, "config.yaml")
    begun = read_yaml(saved) if config.resume and saved.exists() else config
    n = 1
    if isinstance(begun, DictConfig):
        check_loggers(begun.get("logger"))
        check_figures((begun.get("callbacks") or {}).get("figures"))
        n = n_local(begun) if begun.get("trainer") else 1
    if n > 1:
        return launch(config, folder, overrides, n)
    from cmc.train import train

    return train(config, folder, overrides)


def _taken_up(
    config: DictConfig, folder: Path, overrides: list[str]
) -> tuple[DictConfig, list[str], dict[str, Any] | None]:
    """Of a job of a sweep: the report of a finished run, or how to go on with one that is not.

    Raises:
        UserError: the folder holds a run of another configuration.
    """
    if not (folder / "config.yaml").exists():
        return config, overrides, None
    told = ("resume", "resume_sweep", "trust")
    saved, present = (OmegaConf.to_container(c, resolve=True) for c in (read_yaml(folder / "config.yaml"), config))
    assert isinstance(saved, dict)
    assert isinstance(present, dict)
    if differing := [str(key) for key in present if key not in told and present[key] != saved.get(key)]:
        raise UserError(f"{folder}: holds a run whose {differing[0]} differs; give another hydra.sweep.dir")
    if (folder / "metrics.json").exists():
        log.info("%s: finished before", folder)
        return config, overrides, json.loads((folder / "metrics.json").read_text())
    if not (folder / "checkpoints" / "last.ckpt").exists():
        (folder / "config.yaml").unlink()
        return config, overrides, None
    config.resume = str(folder)
    config.trust = named_packages(present)  # of the user's own configuration, which the saved one equals
    return config, [], None


def _objective(report: dict[str, Any], key: str) -> float | None:
    """What a search maximises; None where the run has no such figure."""
    value: Any = report
    for part in key.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return None if value is None else float(value)


def main() -> None:
    """The ``cmc`` command; like ``python -m cmc.run`` it finds classes in the folder that it is called from."""
    if (here := os.getcwd()) not in sys.path:
        sys.path.append(here)
    command(_run)


if __name__ == "__main__":
    main()
