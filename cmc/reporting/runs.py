"""Finished runs as a report reads them: whatever can be read is used. Light: imports no torch."""

from __future__ import annotations

import csv
import math
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeGuard

from cmc.errors import UserError
from cmc.runs.folder import LABEL_FREE, SCORES, read_yaml
from cmc.utils.safe_read import check_text, parse_json, read_errors, text_array

if TYPE_CHECKING:
    import numpy as np

_SUFFIXES = (".npz", ".npy", ".mat", ".h5", ".hdf5", ".csv")  # what a file of features may end in
_TOO_LARGE = 2**63  # of a whole number, which a float may not hold


@dataclass(frozen=True)
class Run:
    """A finished run.

    Attributes:
        folder: where it lies.
        report: what ``metrics.json`` holds.
        config: what ``config.yaml`` holds: dotted keys and their values, lists being values.
        written: when ``metrics.json`` was written, in seconds.
    """

    folder: Path
    report: Mapping[str, Any]
    config: Mapping[str, Any] = field(repr=False)
    written: float

    @property
    def method(self) -> str:
        """The method's name."""
        return " ".join(str(self.report["method"]).split())

    @property
    def data(self) -> str:
        """The data's name; of ``data=files``, the file's or folder's without its ending; a surrogate is named so."""
        if self.report["data"] != "files":
            name = " ".join(str(self.report["data"]).split())
            return f"{name} (surrogate)" if self.is_surrogate and "(surrogate)" not in name else name
        source, root = str(self.facts.get("source", "")), str(self.config.get("data.root") or "")
        where = Path(root if root and root in source else source.split(" (")[0])
        return (where.stem if where.suffix.lower() in _SUFFIXES else where.name) or "files"

    @property
    def seed(self) -> int:
        """The run's seed."""
        return int(self.report["seed"])

    @property
    def facts(self) -> Mapping[str, Any]:
        """What was read: source, fingerprint, n_samples, dims, scaling, surrogate."""
        return self.report["features"]  # type: ignore[no-any-return]

    @property
    def fingerprint(self) -> str:
        """Of the data."""
        return str(self.facts["fingerprint"])

    @property
    def is_surrogate(self) -> bool:
        """Whether the data are generated and stand in for others."""
        return bool(self.facts.get("surrogate")) or str(self.report["data"]).endswith("(surrogate)")

    @property
    def epochs(self) -> int | None:
        """Of all phases together; None where an older run does not say."""
        phases = self.report.get("phases")
        return None if phases is None else int(sum(phases.values()))

    @property
    def seconds(self) -> float | None:
        """Of the whole run, where they are known."""
        return _finite((self.report.get("seconds") or {}).get("total"))

    @property
    def memory(self) -> float | None:
        """The peak in MiB, where it is known."""
        return _finite(self.report.get("peak_memory_mib"))

    @property
    def figures(self) -> dict[str, float]:
        """Scores, held-out scores (``holdout_acc``, ...) and label-free measures, those that there are."""
        found = {
            **self._numbers("scores", SCORES),
            **{f"holdout_{name}": value for name, value in self._numbers("holdout", SCORES).items()},
            **self._numbers("label_free", LABEL_FREE),
        }
        return {name: value for name, value in found.items() if math.isfinite(value)}

    def _numbers(self, key: str, names: Iterable[str]) -> dict[str, float]:
        values = self.report.get(key) or {}
        return {name: float(values[name]) for name in names if values.get(name) is not None}


@dataclass(frozen=True)
class Assignments:
    """What ``assignments.csv`` holds.

    Attributes:
        index: (N,) int64 row numbers of the samples in the data.
        cluster: (N,) int64.
        confidence: (N,) float64.
        label: (N,) str, or None.
    """

    index: np.ndarray
    cluster: np.ndarray
    confidence: np.ndarray
    label: np.ndarray | None


def find(paths: Iterable[Path]) -> list[Path]:
    """Folders below ``paths``, each once, that hold a run, be it finished or not.

    One with ``metrics.json`` is a run wherever it lies; one with ``config.yaml`` alone is an unfinished run, unless it
    lies inside of another run, as what loggers leave there does.

    Raises:
        UserError: a path that is no folder.
    """
    found: dict[Path, Path] = {}
    for path in paths:
        if not path.is_dir():
            raise UserError(f"{path}: {'not a folder' if path.exists() else 'no such folder'}; name folders of runs")
        runs: set[Path] = set()
        for name, folders, files in os.walk(path):
            folders[:] = sorted(f for f in folders if not f.startswith("."))
            folder = Path(name)
            if "metrics.json" in files or ("config.yaml" in files and runs.isdisjoint(folder.parents)):
                runs.add(folder)
                found.setdefault(folder.resolve(), folder)
    return list(found.values())


def read_run(folder: Path) -> Run:
    """Read ``metrics.json`` and ``config.yaml``.

    Raises:
        UserError: what is missing or cannot be read, without the folder's name.
    """
    path = folder / "metrics.json"
    if not path.exists():
        raise UserError("no metrics.json: the run has not finished")
    with read_errors("metrics.json cannot be read", path):
        report, written = parse_json(path), path.stat().st_mtime
    _check(report)
    return Run(folder, report, read_config(folder / "config.yaml"), written)


def _check(report: Mapping[str, Any]) -> None:
    """Refuse a report that lacks what a table needs; what else is missing is left blank."""
    for key in ("method", "data", "seed", "scores", "features"):
        if key not in report:
            raise UserError(f"metrics.json has no {key}: written by an older version, or by another program")
    if not isinstance(report["features"], dict) or not report["features"].get("fingerprint"):
        raise UserError("metrics.json has no features.fingerprint: nothing tells which data it is of")
    for key in ("scores", "holdout", "label_free", "seconds"):
        if not _holds(report.get(key), _is_number):
            raise UserError(f"metrics.json: {key} holds something else than numbers")
    if not _holds(report.get("phases"), _is_count):
        raise UserError("metrics.json: phases holds something else than whole numbers of at least 0")
    for key in ("seed", "n_clusters"):
        if not _is_count(report.get(key, 0)):
            raise UserError(f"metrics.json: {key} is no whole number of at least 0")


def _holds(group: object, accepts: Callable[[object], bool]) -> bool:
    return group is None or (isinstance(group, dict) and all(map(accepts, group.values())))


def _is_number(value: object) -> bool:
    return value is None or isinstance(value, float) or _is_whole(value)


def _is_count(value: object) -> bool:
    return _is_whole(value) and value >= 0


def _is_whole(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) < _TOO_LARGE


def _finite(value: Any) -> float | None:
    return float(value) if _is_number(value) and value is not None and math.isfinite(value) else None


def read_config(path: Path) -> dict[str, Any]:
    """The dotted keys and values of a ``config.yaml``.

    Raises:
        UserError: it is missing or cannot be read.
    """
    from omegaconf import OmegaConf

    if not path.exists():
        raise UserError("no config.yaml: nothing tells the run's settings")
    config = read_yaml(path, interpolations=True, what="config.yaml cannot be read")
    tree = OmegaConf.to_container(config, resolve=False)
    if not isinstance(tree, dict):
        raise UserError("config.yaml cannot be read: it holds no mapping")
    return dict(_leaves(tree))


def _leaves(tree: Mapping[Any, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in tree.items():
        if isinstance(value, dict) and value:
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


@contextmanager
def noting(lines: list[str], folder: Path) -> Iterator[None]:
    """Leave the block where something cannot be read, with a line that says what."""
    try:
        yield
    except UserError as error:
        lines.append(f"{folder}: {error}")


def read_assignments(path: Path) -> Assignments | None:
    """The columns of an ``assignments.csv``; None where there is none.

    Raises:
        UserError: a file that lacks columns or rows, or whose rows are none.
    """
    import numpy as np

    if not path.exists():
        return None
    with read_errors(f"{path.name} cannot be read", path):
        check_text(path)
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.reader(file)
            columns = dict(zip(next(reader), zip(*reader, strict=True), strict=True))
        found = Assignments(
            np.array(columns["index"], dtype=np.int64),
            np.array(columns["cluster"], dtype=np.int64),
            np.array(columns["confidence"], dtype=np.float64),
            text_array(path.name, columns["label"]) if "label" in columns else None,
        )
        if found.cluster.min() < 0:
            raise ValueError("a cluster below 0")
        return found
