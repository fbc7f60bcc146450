"""What a finished run folder says of itself; read without torch."""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig

from cmc.errors import UserError
from cmc.utils.atomic import atomic_write
from cmc.utils.memory import check_size
from cmc.utils.safe_read import check_text, parse_json, parse_yaml, read_errors

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


def how_to_resume(run: Path) -> str:
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


def read_report(run: Path) -> dict[str, Any]:
    """What ``metrics.json`` holds.

    Raises:
        UserError: it is damaged, or of another version.
    """
    path = run / "metrics.json"
    damaged = f"{path}: damaged, or written by another version of CMC; train again"
    with read_errors(damaged, path):
        report = parse_json(path)
        widths, n_clusters = report["features"]["dims"].values(), report["n_clusters"]
        whole = all(isinstance(number, int) and number > 0 for number in (*widths, n_clusters))
        whole = whole and {"method", "data", "seed", "scores"} <= report.keys() and "fingerprint" in report["features"]
    if not whole:
        raise UserError(damaged)
    return report


def read_history(path: Path) -> list[dict[str, Any]]:
    """The rows of a ``history.csv``; an empty list where there is none.

    Raises:
        UserError: it takes more memory than reading may.
    """
    if not path.exists():
        return []
    check_text(path)
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def read_files(run: Path) -> dict[str, bytes]:
    """The files of a run that say what it ended with: name -> content."""
    return {name: (run / name).read_bytes() for name in _FILES if (run / name).is_file()}


def write_files(run: Path, files: Mapping[str, bytes]) -> None:
    """Make a run folder of what `read_files` gave."""
    for name, content in files.items():
        with atomic_write(run / name) as path:
            path.write_bytes(content)


def read_rows(run: Path) -> tuple[NDArray[np.int64], NDArray[np.float32] | None]:
    """Clusters and embeddings of all samples, held-out ones included, in the order of the data.

    Returns:
        N clusters, and N x D; None in place of these where the run wrote none.

    Raises:
        UserError: a file cannot be read, or they do not belong together.
    """
    import numpy as np

    tables = [path for part in _PARTS if (path := run / f"assignments{part}.csv").is_file()]
    parts = [path for part in _PARTS if (path := run / f"embeddings{part}.npy").is_file()]
    rows = np.concatenate([_table(path) for path in tables])
    embeddings = [_embeddings(path) for path in parts]
    if embeddings and sum(map(len, embeddings)) != len(rows):
        raise UserError(f"{parts[0]}: not as many rows as in {tables[0].name}; damaged? train again")
    order = rows[:, 0].argsort()
    return rows[order, 1], np.concatenate(embeddings)[order] if embeddings else None


def _table(path: Path) -> NDArray[np.int64]:
    """Indices and clusters, N x 2."""
    import numpy as np

    with read_errors(f"{path}: cannot be read; damaged? train again", path), path.open(newline="") as file:
        check_text(path)
        rows = np.array([row[:2] for row in list(csv.reader(file))[1:]], dtype=np.int64)
        if rows.ndim != 2 or rows.shape[1] != 2 or rows.min() < 0:
            raise ValueError("an index and a cluster, both from 0, are wanted in each row")
        return rows


def _embeddings(path: Path) -> NDArray[np.float32]:
    import numpy as np

    with read_errors(f"{path}: cannot be read; damaged? train again", path):
        array = np.load(path, mmap_mode="r", allow_pickle=False)
        if array.ndim != 2 or array.dtype != np.float32:
            raise ValueError(f"{array.ndim}-d {array.dtype} in the place of 2-d float32")
        check_size(str(path), array.nbytes)
        return np.array(array)
