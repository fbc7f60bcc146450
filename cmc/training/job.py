"""A command's runs: begun, gone on with or found finished, here or in as many processes as the trainer asks for."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from cmc.config.requirements import check_loggers, check_projection
from cmc.runs.config import read_yaml
from cmc.runs.lock import locked
from cmc.training.jobs import Job, jobs_of
from cmc.training.launcher import external_rank, launch, n_local
from cmc.training.loading import load_training
from cmc.training.resume import resume_or_begin
from cmc.utils.signals import preemptible


def run(config: DictConfig, folder: Path, overrides: list[str], look: bool, told: bool = True) -> list[dict[str, Any]]:
    """Train what belongs into a run folder, or into those of several seeds, and hold the folders meanwhile.

    Args:
        config: composed and checked.
        folder: the run folder; of several seeds, the folder of their folders.
        overrides: what the command line said.
        look: whether what a folder holds is gone on with, or taken as it is where it is finished.
        told: print the closing table.

    Returns:
        What ``metrics.json`` holds, of each run; nothing on processes other than the first.
    """
    jobs = jobs_of(config, folder, overrides)
    several = jobs[0].folder != folder
    with preemptible(), ExitStack() as held:
        locks = [] if external_rank() else [held.enter_context(locked(job.folder)) for job in jobs]
        reports: dict[Path, dict[str, Any]] = {}
        left = []
        for job in jobs:
            own, report = _looked(job) if look or (several and config.resume) else (job, None)
            if report is None:
                left.append(own)
            else:
                reports[own.folder] = report
        if left:
            trained = _trained(left, folder, locks, told)
            reports |= dict(zip((job.folder for job in left), trained, strict=True))
        return [reports[job.folder] for job in jobs]


def _looked(job: Job) -> tuple[Job, dict[str, Any] | None]:
    config, overrides, report = resume_or_begin(job.config, job.folder, job.overrides)
    return Job(config, job.folder, overrides), report


def _trained(jobs: list[Job], folder: Path, locks: list[int], told: bool) -> list[dict[str, Any]]:
    """Train here, or in as many processes as the trainer asks for."""
    config = jobs[0].config
    saved = jobs[0].folder / "config.yaml"
    begun = read_yaml(saved) if config.resume and saved.exists() else config
    n = 1
    if isinstance(begun, DictConfig):
        check_loggers(begun.get("logger"))
        for name, settings in (begun.get("callbacks") or {}).items():
            check_projection(f"callbacks.{name}.projection", (settings or {}).get("projection"))
        n = n_local(begun) if begun.get("trainer") else 1
    if n > 1:
        return launch(jobs, folder, n, locks)
    reports: list[dict[str, Any]] = load_training().train_all(jobs, folder, told)
    return reports
