"""``python -m cmc.run``: train one method on one data set, and leave a run folder."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import Any

import hydra
from omegaconf import DictConfig

from cmc.cli import command, register_resolvers, shipped, task
from cmc.config.requirements import check_loggers, check_projection
from cmc.config.schema import check, conf_dir
from cmc.runs.config import read_yaml
from cmc.runs.lock import locked
from cmc.training.launcher import external_rank, launch, n_local
from cmc.training.resume import AUTO, resume_or_begin
from cmc.utils.signals import preemptible

register_resolvers()


@hydra.main(version_base="1.3", config_path=str(conf_dir()), config_name="config")
@task
def _run(config: DictConfig) -> float | None:
    from hydra.core.hydra_config import HydraConfig

    state = HydraConfig.get()
    check(config, shipped("config"))
    explicit = config.resume is not None and config.resume != AUTO
    folder = Path(config.resume if explicit else state.runtime.output_dir)
    overrides: list[str] = list(state.overrides.task)
    with preemptible(), nullcontext() if external_rank() else locked(folder) as lock:
        if config.resume == AUTO or (config.resume_sweep and not explicit):
            config, overrides, report = resume_or_begin(config, folder, overrides)
            if report is not None:
                return _objective(report, config.objective)
        return _objective(_trained(config, str(folder), overrides, lock), config.objective)


def _trained(config: DictConfig, folder: str, overrides: list[str], lock: int | None) -> dict[str, Any]:
    """Train here, or in as many processes as the trainer asks for."""
    saved = Path(folder, "config.yaml")
    begun = read_yaml(saved) if config.resume and saved.exists() else config
    n = 1
    if isinstance(begun, DictConfig):
        check_loggers(begun.get("logger"))
        for name, settings in (begun.get("callbacks") or {}).items():
            check_projection(f"callbacks.{name}.projection", (settings or {}).get("projection"))
        n = n_local(begun) if begun.get("trainer") else 1
    if n > 1:
        return launch(config, folder, overrides, n, lock)
    from cmc.training.fit import train

    return train(config, folder, overrides)


def _objective(report: dict[str, Any], key: str) -> float | None:
    """What a search maximises; None where the run has no such figure."""
    value: Any = report
    for part in key.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return None if value is None else float(value)


def _preemptible_run() -> None:
    with preemptible():
        _run()


def main() -> None:
    """Run the command."""
    command(_preemptible_run)


if __name__ == "__main__":
    main()
