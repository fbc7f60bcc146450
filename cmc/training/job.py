"""One run of a command: begun, gone on with or found finished, here or in as many processes as the trainer asks for."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from cmc.config.requirements import check_loggers, check_projection
from cmc.runs.config import read_yaml
from cmc.runs.lock import locked
from cmc.training.launcher import external_rank, launch, n_local
from cmc.training.loading import load_fit
from cmc.training.resume import resume_or_begin
from cmc.utils.signals import preemptible


def run(config: DictConfig, folder: Path, overrides: list[str], look: bool, told: bool = True) -> dict[str, Any]:
    """Train what belongs into a run folder, and hold the folder meanwhile.

    Args:
        config: composed and checked.
        folder: the run folder.
        overrides: what the command line said.
        look: whether what the folder holds is gone on with, or taken as it is where it is finished.
        told: print the closing table.

    Returns:
        What ``metrics.json`` holds; nothing on processes other than the first.
    """
    with preemptible(), nullcontext() if external_rank() else locked(folder) as lock:
        if look:
            config, overrides, report = resume_or_begin(config, folder, overrides)
            if report is not None:
                return report
        return _trained(config, folder, overrides, lock, told)


def _trained(config: DictConfig, folder: Path, overrides: list[str], lock: int | None, told: bool) -> dict[str, Any]:
    """Train here, or in as many processes as the trainer asks for."""
    saved = folder / "config.yaml"
    begun = read_yaml(saved) if config.resume and saved.exists() else config
    n = 1
    if isinstance(begun, DictConfig):
        check_loggers(begun.get("logger"))
        for name, settings in (begun.get("callbacks") or {}).items():
            check_projection(f"callbacks.{name}.projection", (settings or {}).get("projection"))
        n = n_local(begun) if begun.get("trainer") else 1
    if n > 1:
        return launch(config, str(folder), overrides, n, lock)
    module = load_fit()
    report: dict[str, Any] = (module.train if told else module.fit)(config, str(folder), overrides)
    return report
