"""Whether a command goes on with a run that is there: ``resume=auto``, and the jobs of ``resume_sweep=true``."""

from __future__ import annotations

import logging
from glob import escape
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from cmc.config.schema import shorten
from cmc.config.trust import named_packages
from cmc.errors import UserError
from cmc.runs.config import read_config
from cmc.runs.folder import has_checkpoint
from cmc.runs.lock import is_locked
from cmc.runs.report import read_report
from cmc.training.jobs import config_of, name_of
from cmc.training.launcher import external_rank

log = logging.getLogger(__name__)
AUTO = "auto"
_TOLD = ("resume", "resume_sweep", "trust", "hydra")  # settings that make no other run


def interrupted(outputs: Path, name: str, config: DictConfig) -> Path | None:
    """The newest run of this configuration that stopped before its end and left a checkpoint.

    Of several seeds: the folder of their folders, one of which at least stopped so.

    Args:
        outputs: a folder of folders of a day's runs.
        name: of run folders, after the time.
        config: what is to be run.
    """
    wanted = {name_of(seed): config_of(config, seed) for seed in config.get("seeds") or ()} or {"": config}
    for folder in sorted(outputs.glob(f"*/??-??-??-{escape(name)}"), reverse=True):
        if any(_stopped(folder / part, own) for part, own in wanted.items()):
            return folder
    return None


def _stopped(folder: Path, config: DictConfig) -> bool:
    """Whether a folder holds a run of this configuration that can go on, and nobody goes on with."""
    if not has_checkpoint(folder) or (folder / "metrics.json").exists():
        return False
    try:
        return first_difference(folder, config) is None and not is_locked(folder)
    except (UserError, OSError):  # not to be read, or another user's
        return False


def resume_or_begin(
    config: DictConfig, folder: Path, overrides: list[str]
) -> tuple[DictConfig, list[str], dict[str, Any] | None]:
    """How to begin, or go on with, the run that belongs into a folder.

    Args:
        config: composed and checked.
        folder: the run folder.
        overrides: what the command line said.

    Returns:
        What `cmc.training.fit.train` is to be given, and the report of a run that is finished.

    Raises:
        UserError: the folder holds a run of another configuration.
    """
    config.resume = None
    if not (folder / "config.yaml").exists():
        return config, overrides, None
    if (key := first_difference(folder, config)) is not None:
        raise UserError(f"{folder}: holds a run whose {key} differs; give another hydra.run.dir, or hydra.sweep.dir")
    if (folder / "metrics.json").exists():
        log.info("%s: finished before", folder)
        return config, overrides, read_report(folder)
    if has_checkpoint(folder):
        log.info("%s: going on", folder)
        config.resume = str(folder)
        config.trust = named_packages(OmegaConf.to_container(config, resolve=True))  # which the saved one equals
        return config, [], None
    if not external_rank():
        (folder / "config.yaml").unlink(missing_ok=True)
    return config, overrides, None


def first_difference(folder: Path, config: DictConfig) -> str | None:
    """The first setting in which a run folder's run is another; None where it is the same."""
    present = OmegaConf.masked_copy(config, [str(key) for key in config if key not in _TOLD])
    shorten(present)
    saved, wanted = (OmegaConf.to_container(c, resolve=True) for c in (read_config(folder), present))
    assert isinstance(saved, dict)
    assert isinstance(wanted, dict)
    for name in ("precision", "threads"):
        if wanted["trainer"][name] in ("auto", None):  # which was resolved before it was saved
            wanted["trainer"][name] = saved["trainer"].get(name)
    for name, kind in (saved["method"].get("encoder") or {}).items():
        if (wanted["method"].get("encoder") or {}).get(name) == "conv" and kind != "mlp":
            wanted["method"]["encoder"][name] = kind
    return next((str(key) for key in wanted if wanted[key] != saved.get(key)), None)
