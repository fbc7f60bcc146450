"""What the commands share: the configuration that they compose, and how they end."""

from __future__ import annotations

import argparse
import logging
import os
import re
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import NoReturn

from omegaconf import DictConfig, OmegaConf

from cmc.config.messages import as_ending
from cmc.errors import Ending, Interrupted, UserError
from cmc.training.jobs import folders_of, seeds_text
from cmc.training.launcher import external_rank, is_external
from cmc.training.resume import AUTO, interrupted

_FULL_ERROR = "HYDRA_FULL_ERROR"
_tracebacks = os.environ.get(_FULL_ERROR) == "1"


def register_resolvers() -> None:
    """Make ``cmc.run_dir``, ``cmc.seeds`` and ``cmc.group`` known, by which runs are named, and grouped by trackers."""
    OmegaConf.register_new_resolver("cmc.seeds", seeds_text, replace=True)
    OmegaConf.register_new_resolver("cmc.run_dir", _run_dir, replace=True)
    OmegaConf.register_new_resolver("cmc.group", _group, replace=True)


def _run_dir(resume: object, outputs: str, moment: str, name: str, *, _root_: DictConfig) -> str:
    """The folder that ``resume`` says, or a new one."""
    rank = external_rank()
    if resume == AUTO:
        if is_external():
            raise UserError("resume: auto given; where torchrun or srun starts the processes, give hydra.run.dir, too")
        if (found := _interrupted(Path(outputs), name, _root_)) is not None:
            return str(found)
    elif resume and not Path(str(resume), "config.yaml").is_file() and not folders_of(Path(str(resume))):
        raise UserError(f"resume: {resume} is no run folder: it has no config.yaml")
    if rank:  # the first process writes the run folder
        return str(Path(tempfile.gettempdir(), f"cmc-rank{rank}-{os.getpid()}"))
    return str(resume) if resume and resume != AUTO else str(Path(outputs, f"{moment}-{name}"))


def _interrupted(outputs: Path, name: str, config: DictConfig) -> Path | None:
    """See `cmc.training.resume.interrupted`; a configuration that is none is refused later."""
    try:
        return interrupted(outputs, name, config)
    except Exception:
        return None


def _group(method: str, data: str, surrogate: bool) -> str:
    """A sweep's folder, by its name, or its day and time; outside a sweep the method and the data."""
    if not _is_sweep():
        return f"{method}-{data}{' (surrogate)' if surrogate else ''}"
    from hydra.core.hydra_config import HydraConfig

    folder = Path(HydraConfig.get().sweep.dir)
    is_time = re.fullmatch(r"\d\d-\d\d-\d\d", folder.name) is not None
    return f"{folder.parent.name} {folder.name}" if is_time else folder.name


def shipped(name: str) -> DictConfig:
    """The configuration ``name`` with the groups that were chosen, without any other override: the schema."""
    from hydra import compose
    from hydra.core.hydra_config import HydraConfig

    from cmc.config.schema import GROUPS

    state = HydraConfig.get()
    several = [o for o in state.overrides.task if re.match(r"logger=\[", o)]  # which Hydra lists among no choices
    chosen = [f"{group}={choice}" for group in GROUPS if (choice := state.runtime.choices.get(group))] + several
    searchpath = ",".join(f"'{path}'" for path in state.searchpath)
    return compose(name, overrides=[*chosen, f"hydra.searchpath=[{searchpath}]"])


def task(function: Callable[[DictConfig], object]) -> Callable[[DictConfig], object]:
    """Let a Hydra task end as `command` does, before Hydra adds lines of its own; the run's log keeps the line."""

    @wraps(function)
    def told(config: DictConfig) -> object:
        try:
            return function(config)
        except (Exception, KeyboardInterrupt) as error:
            if (end := _ending(error, _configuration())) is None:
                raise
            _note(end)
            if _is_sweep() and not isinstance(end, Interrupted):
                raise end from None  # the sweep's other jobs go on
            _leave(end)

    return told


class Parser(argparse.ArgumentParser):
    """Of a command without Hydra: what is wrong with its arguments is a `UserError`."""

    def error(self, message: str) -> NoReturn:
        """Refuse, and say where the way to use it is told."""
        raise UserError(f"{message}; {self.prog} --help shows how it is used")


def plain_command(work: Callable[[Sequence[str]], object]) -> None:
    """Run a command without Hydra, given its arguments; progress is logged where there is no terminal."""
    logging.basicConfig(format="%(message)s")
    logging.getLogger("cmc").setLevel(logging.INFO)
    command(lambda: work(sys.argv[1:]))


def command(hydra_main: Callable[[], object], name: str = "config") -> None:
    """Run a Hydra application; like ``python -m`` it finds classes in the folder that it is called from.

    Where it ends early, the one line goes to standard error; ``HYDRA_FULL_ERROR=1`` shows the traceback instead.

    Args:
        hydra_main: the application.
        name: of its configuration in conf/.
    """
    if (here := os.getcwd()) not in sys.path:
        sys.path.append(here)
    sys.argv[1:] = arranged(sys.argv[1:])
    logging.raiseExceptions = False  # a log that cannot be written, on a full disk, is no more than that
    try:
        with _handed_on():
            hydra_main()
    except (Exception, KeyboardInterrupt) as error:
        if (end := _ending(error, name)) is None:
            raise
        _leave(end)


def arranged(arguments: Sequence[str]) -> list[str]:
    """A command line as Hydra takes it: ``-m`` before the overrides, and the home folder in the place of ``~``.

    The shell expands ``~`` at the beginning of a word alone, and Hydra refuses it in a value.
    """
    home = str(Path.home())
    if re.fullmatch(r"[\w/.+-]+", home):  # else it would have to be quoted
        arguments = [re.sub(r"""(?<=[=,\["'])~(?=/|$)""", home, word) if "=" in word else word for word in arguments]
    return sorted(arguments, key=lambda word: word not in ("-m", "--multirun"))


@contextmanager
def _handed_on() -> Iterator[None]:
    """Have Hydra hand errors on instead of printing them."""
    before = os.environ.get(_FULL_ERROR)
    os.environ[_FULL_ERROR] = "1"
    try:
        yield
    finally:
        del os.environ[_FULL_ERROR]
        if before is not None:
            os.environ[_FULL_ERROR] = before


def _ending(error: BaseException, name: str) -> Ending | None:
    """How a command ends; None for a defect of ours, which deserves its traceback, or when asked for."""
    return None if _tracebacks else as_ending(error, name)


def _configuration() -> str:
    """The name of the configuration that the present task was given."""
    from hydra.core.hydra_config import HydraConfig

    return HydraConfig.get().job.config_name or "config"


def _is_sweep() -> bool:
    from hydra.core.hydra_config import HydraConfig
    from hydra.types import RunMode

    return HydraConfig.initialized() and HydraConfig.get().mode == RunMode.MULTIRUN


def _note(end: Ending) -> None:
    """Write to the run's log alone; the terminal gets the line when the command ends."""
    record = logging.LogRecord("cmc", logging.ERROR, "", 0, f"{end.opening}{end}", None, None)
    for handler in logging.getLogger().handlers:
        if isinstance(handler, logging.FileHandler):
            handler.handle(record)


def _leave(end: Ending) -> NoReturn:
    print(f"cmc: {end.opening}{end}", file=sys.stderr)
    sys.exit(end.status)
