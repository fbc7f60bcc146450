"""What a finished run folder says of itself; read without torch."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Mapping
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from omegaconf import DictConfig, OmegaConf

from cmc.errors import UserError
from cmc.storage import replacing

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SCORES = ("acc", "nmi", "ari", "purity")
_LARGEST = 2**20  # characters of a config.yaml
LABEL_FREE = ("agreement", "balance", "quality", "silhouette", "entropy")
LAST = Path("checkpoints", "last.ckpt")
PREVIOUS = Path("checkpoints", "previous.ckpt")
_PARTS = ("", "_holdout")
_FILES = (
    "config.yaml",
    str(LAST),
    "history.csv",
    *(f"{name}{part}{suffix}" for name, suffix in (("assignments", ".csv"), ("embeddings", ".npy")) for part in _PARTS),
    "metrics.json",  # last: it marks a finished run
)


def finished(folder: str | Path | None) -> Path:
    """The folder of a finished run.

    Raises:
        UserError: none is given, it is no run folder, or its run is not finished.
    """
    if not folder:
        raise UserError("run: not given; name the folder of a finished run, run=FOLDER")
    run = Path(folder).expanduser()
    if not (run / "config.yaml").is_file():
        raise UserError(f"run: {run} is no run folder: it has no config.yaml")
    if not (run / "metrics.json").is_file():
        raise UserError(
            f"run: {run} has no metrics.json: it is not finished; go on with it: python -m cmc.run resume={run}"
        )
    return run


def has_checkpoint(run: Path) -> bool:
    """Whether there is something that a run may go on from."""
    return (run / LAST).is_file() or (run / PREVIOUS).is_file()


def onward(run: Path) -> str:
    """How to go on with a run that stopped."""
    if has_checkpoint(run):
        return f"go on with: python -m cmc.run resume={run}"
    return "start the same command again, with resume=auto; no checkpoint is written yet"


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


def read_yaml(path: Path, interpolations: bool = False) -> Any:
    """A ``config.yaml`` as data: no tags of Python, nothing that stands for anything else.

    A run writes its configuration without interpolations, which could read a user's environment, and without aliases,
    which could grow without bounds.

    Args:
        path: the file.
        interpolations: let them pass, as the text that they are.

    Raises:
        UserError: it holds either, is too large, or cannot be read.
    """
    try:
        with path.open(encoding="utf-8") as file:
            text = file.read(_LARGEST + 1)
        if len(text) > _LARGEST:
            raise UserError(f"{path}: more than {_LARGEST} characters are no configuration of a run")
        if "&" in text and any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text, yaml.SafeLoader)):
            raise UserError(f"{path}: holds an alias of yaml (*name); a run's files hold plain values")
        config = OmegaConf.load(StringIO(text))
    except UserError:
        raise
    except Exception as error:
        raise UserError(f"{path}: cannot be read; damaged? ({' '.join(str(error).split())[:200]})") from None
    if (found := re.search(r"\$\{.{0,60}", text)) and not interpolations:
        raise UserError(f"{path}: holds {found[0]!r}; a run's files hold plain values, no interpolations")
    return config


def read_report(run: Path) -> dict[str, Any]:
    """What ``metrics.json`` holds.

    Raises:
        UserError: it is damaged, or of another version.
    """
    path = run / "metrics.json"
    try:
        report: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        widths, n_clusters = report["features"]["dims"].values(), report["n_clusters"]
        whole = all(isinstance(number, int) for number in (*widths, n_clusters))
        whole = whole and {"method", "data", "seed", "scores"} <= report.keys() and "fingerprint" in report["features"]
    except (ValueError, KeyError, TypeError, AttributeError, OSError):
        whole = False
    if not whole:
        raise UserError(f"{path}: damaged, or written by another version of CMC; train again")
    return report


def read_history(path: Path) -> list[dict[str, Any]]:
    """The rows of a ``history.csv``; an empty list where there is none."""
    if not path.exists():
        return []
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def read_files(run: Path) -> dict[str, bytes]:
    """The files of a run that say what it ended with: name -> content."""
    return {name: (run / name).read_bytes() for name in _FILES if (run / name).is_file()}


def write_files(run: Path, files: Mapping[str, bytes]) -> None:
    """Make a run folder of what `read_files` gave."""
    for name, content in files.items():
        with replacing(run / name) as path:
            path.write_bytes(content)


def read_rows(run: Path) -> tuple[NDArray[np.int64], NDArray[np.float32] | None]:
    """Clusters and embeddings of all samples, held-out ones included, in the order of the data.

    Returns:
        N clusters, and N x D; None in place of these where the run wrote none.

    Raises:
        UserError: they cannot be read, or do not belong together.
    """
    import numpy as np

    tables = [path for part in _PARTS if (path := run / f"assignments{part}.csv").is_file()]
    parts = [path for part in _PARTS if (path := run / f"embeddings{part}.npy").is_file()]
    try:
        rows = np.array([row[:2] for path in tables for row in _table(path)], dtype=np.int64)
        order = rows[:, 0].argsort()
        embeddings = np.concatenate([np.load(path, allow_pickle=False) for path in parts])[order] if parts else None
        return rows[order, 1], embeddings
    except (ValueError, IndexError, EOFError, csv.Error) as error:
        names = ", ".join(path.name for path in (*tables, *parts))
        raise UserError(f"{run}: {names} cannot be read, or differ in length: {' '.join(str(error).split())}") from None


def _table(path: Path) -> list[list[str]]:
    with path.open(newline="") as file:
        return list(csv.reader(file))[1:]
