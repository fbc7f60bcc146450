"""``config.yaml`` of a run folder: every setting of the run, without interpolations. Light: imports no torch."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from cmc.errors import UserError
from cmc.utils.atomic import atomic_write
from cmc.utils.mappings import leaves
from cmc.utils.safe_read import parse_yaml, read_errors

_LARGEST = 2**20  # bytes


def read_config(run: Path) -> DictConfig:
    """Every setting of a run.

    Raises:
        UserError: its ``config.yaml`` cannot be read, or is none of a run.
    """
    path = run / "config.yaml"
    config: DictConfig = read_yaml(path)
    whole = isinstance(config, DictConfig) and all(
        isinstance(config.get(key), DictConfig) for key in ("method", "data", "names")
    )
    if not whole or "defaults" in config.data:  # by which Hydra would take up other files
        raise UserError(f"{path}: names no method or no data; it is no configuration of a run")
    return config


def read_settings(run: Path) -> dict[str, Any]:
    """The dotted keys and values of a run of any version, lists being values; interpolations stay as they stand.

    Raises:
        UserError: there is no ``config.yaml``, or it cannot be read; the line does not name the folder.
    """
    path = run / "config.yaml"
    if not path.exists():
        raise UserError("no config.yaml: nothing tells the run's settings")
    config = read_yaml(path, interpolations=True, what="config.yaml cannot be read")
    tree = OmegaConf.to_container(config, resolve=False)
    if not isinstance(tree, dict):
        raise UserError("config.yaml cannot be read: it holds no mapping")
    return dict(leaves(tree))


def read_yaml(path: Path, interpolations: bool = False, what: str | None = None) -> Any:
    """A ``config.yaml`` as data: no tags of Python, nothing that stands for anything else.

    A run writes its configuration without interpolations, which could read a user's environment, and without aliases,
    which could grow without bounds.

    Args:
        path: the file.
        interpolations: let them pass, as the text that they are.
        what: opens the message about a damaged file.

    Raises:
        UserError: it holds either, is too large, or cannot be read.
    """
    with read_errors(what or f"{path}: cannot be read; damaged?", path):
        if path.stat().st_size > _LARGEST:
            raise UserError(f"{path}: more than {_LARGEST} bytes are no configuration of a run")
        config, text = parse_yaml(path), path.read_text(encoding="utf-8")
    if (found := re.search(r"\$\{.{0,60}", text)) and not interpolations:
        raise UserError(f"{path}: holds {found[0]!r}; a run's files hold plain values, no interpolations")
    return config


def write_config(run: Path, config: DictConfig) -> None:
    """Write every setting, with what interpolations stand for."""
    with atomic_write(run / "config.yaml") as path:
        OmegaConf.save(config, path, resolve=True)
