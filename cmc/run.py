"""``python -m cmc.run``: train one method on one data set, and leave a run folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import hydra
from omegaconf import DictConfig

from cmc.cli import command, register_resolvers, shipped, task
from cmc.config.schema import check, conf_dir
from cmc.training.job import run
from cmc.training.resume import AUTO
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
    look = config.resume == AUTO or (config.resume_sweep and not explicit)
    return objective(run(config, folder, overrides, look), config.objective)


def objective(reports: Sequence[Mapping[str, Any]], key: str) -> float | None:
    """What a search maximises: the mean over a command's runs; None where one of them has no such figure.

    Args:
        reports: what ``metrics.json`` holds, of each.
        key: dotted.
    """
    values = [value for report in reports if (value := _figure(report, key)) is not None]
    return fmean(values) if values and len(values) == len(reports) else None


def _figure(report: Mapping[str, Any], key: str) -> float | None:
    value: Any = report
    for part in key.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return None if value is None else float(value)


def _preemptible_run() -> None:
    with preemptible():
        _run()


def main() -> None:
    """Run the command."""
    command(_preemptible_run)


if __name__ == "__main__":
    main()
