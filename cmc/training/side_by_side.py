"""Runs of several seeds side by side in one process: one configuration, data read once, a folder each.

A run trains in a thread of its own, and after each step the next one has its turn (`cmc.utils.turns`): every run is,
bit for bit, what it would be alone.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf
from rich.console import Console

from cmc.config.messages import make
from cmc.data.module import DataModule
from cmc.distributed import is_rank_zero
from cmc.errors import Diverged, Interrupted, UserError
from cmc.methods.base import Method
from cmc.runs.folder import has_checkpoint
from cmc.runs.summary import show_all
from cmc.training.fit import fit, train
from cmc.training.hardware import computing_on
from cmc.training.jobs import Job
from cmc.utils import turns
from cmc.utils.memory import free_memory
from cmc.utils.signals import asking_threads

log = logging.getLogger(__name__)
_COPIES = 4  # of every parameter: itself, its gradient, and the two means of Adam


def train_all(jobs: Sequence[Job], folder: Path, told: bool) -> list[dict[str, Any]]:
    """Train one run, or several side by side.

    Args:
        jobs: the runs.
        folder: of the run, or of the runs' folders.
        told: print the closing table.

    Returns:
        What ``metrics.json`` holds, of each; nothing on processes other than the first.

    Raises:
        Diverged: runs did, and the others have finished.
        UserError, Interrupted: see `cmc.training.fit.fit`.
    """
    if len(jobs) == 1:
        (job,) = jobs
        return [(train if told else fit)(job.config, str(job.folder), job.overrides)]
    company = _Company(jobs)
    log.info("%d runs side by side: seeds %s", len(jobs), ", ".join(str(job.config.seed) for job in jobs))
    tasks = [partial(company.work, number) for number in range(len(jobs))]
    with _own_logs(jobs), asking_threads(), computing_on(torch.get_num_threads()):
        endings = turns.Turns(tasks).run(goes_on=lambda error: isinstance(error, Diverged | Interrupted))
    reports = [ending for ending in endings if isinstance(ending, dict)]
    if told and is_rank_zero() and reports:
        show_all(reports, f"see {folder}")
        Console().print(f"a run folder for each seed: {folder}", soft_wrap=True)
    if len(reports) < len(jobs):
        raise _together([e for e in endings if isinstance(e, BaseException)], jobs, endings, folder)
    return reports


class _Company:
    """Runs that share what they read."""

    def __init__(self, jobs: Sequence[Job]) -> None:
        self._jobs = jobs
        self._data: DataModule | None = None

    def work(self, number: int) -> dict[str, Any]:
        """Train one; the first shows how far all of them are."""
        job = self._jobs[number]
        try:
            return fit(
                job.config,
                str(job.folder),
                job.overrides,
                self._data_of(job.config),
                shown=not number,
                accepted=None if number else self._check_memory,
            )
        except (Diverged, Interrupted) as error:
            log.error("%s", error)
            raise

    def _data_of(self, config: DictConfig) -> DataModule | None:
        """What the first run has read, where the others read the same; None where `fit` is to read it."""
        if self._data is None:
            data: DataModule = make("data", config.data)
            self._data = data
            return data
        if self._data.holdout or _but_seed(config) != _but_seed(self._jobs[0].config):
            return None
        return self._data.for_seed(config.data.seed)

    def _check_memory(self, method: Method) -> None:
        """Refuse more runs than there is memory for, before any is trained."""
        own = _COPIES * sum(p.numel() * p.element_size() for p in method.parameters())
        if (most := int(free_memory() // own) if own else len(self._jobs)) < len(self._jobs):
            raise UserError(
                f"seeds: {len(self._jobs)} given; what their networks and optimisers take, {own / 2**30:.1f} GiB each, "
                f"fits into the free memory {most} times: give at most {max(most, 1)} at once"
            )


def _but_seed(config: DictConfig) -> Any:
    """What is said of the data, but for the seed that shuffles them."""
    said: Any = OmegaConf.to_container(config.data, resolve=True)
    return {key: value for key, value in said.items() if key != "seed"}


def _together(
    errors: Sequence[BaseException], jobs: Sequence[Job], endings: Sequence[object], folder: Path
) -> BaseException:
    """How a command ends some of whose runs have."""
    for error in errors:
        if not isinstance(error, Diverged | Interrupted):
            return error
    for error in errors:
        if isinstance(error, Interrupted):
            saved = any(has_checkpoint(job.folder) for job in jobs)
            error.way_on = f"go on with: python -m cmc.run resume={folder}" if saved else error.way_on
            return error
    diverged = [(job, end) for job, end in zip(jobs, endings, strict=True) if isinstance(end, Diverged)]
    job, error = diverged[0]
    more = f" (and {len(diverged) - 1} other seeds: see their run.log)" if len(diverged) > 1 else ""
    others = f"the other {len(jobs) - len(diverged)} are finished; " if len(diverged) < len(jobs) else ""
    return Diverged(f"seed {job.config.seed}: {error.line}{more}", f"{others}{error.way_on}")


@contextmanager
def _own_logs(jobs: Sequence[Job]) -> Iterator[None]:
    """Have each run's folder keep its log; the command's own shows the first run's, and warnings of all."""
    root = logging.getLogger()
    shared = list(root.handlers)
    form = next((handler.formatter for handler in shared), None)
    own: list[logging.Handler] = []
    for number, job in enumerate(jobs if is_rank_zero() else ()):
        file = logging.FileHandler(job.folder / "run.log")
        file.setFormatter(form)
        file.addFilter(partial(_is_of, number))
        own.append(file)
        root.addHandler(file)
    for_all = _ForAll()
    for handler in shared:
        handler.addFilter(for_all)
    try:
        yield
    finally:
        for handler in own:
            root.removeHandler(handler)
            handler.close()
        for handler in shared:
            handler.removeFilter(for_all)


def _is_of(number: int, record: logging.LogRecord) -> bool:
    return turns.number() == number


class _ForAll(logging.Filter):
    """What the first run says, and warnings of the others that it has not given."""

    def __init__(self) -> None:
        super().__init__()
        self._told: set[str] = set()

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether a record is shown."""
        message = record.getMessage()
        if turns.number() not in (None, 0):
            return record.levelno >= logging.WARNING and message not in self._told
        self._told.add(message)
        return True
