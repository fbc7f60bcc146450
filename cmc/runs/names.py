"""``names.json`` of a run folder: what a person called its clusters, merged, moved and marked. Light: no torch.

The gallery's page exports it, as JSON or as a table; `take` checks that an export is of the run and keeps it.
"""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cmc.errors import UserError
from cmc.runs.assignments import read_assignments
from cmc.runs.folder import PARTS
from cmc.runs.report import read_any_report
from cmc.utils.atomic import atomic_write
from cmc.utils.safe_read import check_text, parse_json, read_errors

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

FILE = "names.json"
FORMAT = "cmc clusters 1"
LONGEST = 200  # characters of a name


@dataclass(frozen=True)
class Edits:
    """What a person made of a run's clusters.

    Attributes:
        run: the mark of the run (`mark`); empty where nothing was made.
        names: cluster -> its name.
        merged: cluster -> the one that it became a part of.
        moved: row of a sample -> the cluster that it belongs to.
        wrong: rows of samples that belong to none.
    """

    run: str = ""
    names: Mapping[int, str] = field(default_factory=dict)
    merged: Mapping[int, int] = field(default_factory=dict)
    moved: Mapping[int, int] = field(default_factory=dict)
    wrong: tuple[int, ...] = ()

    def root(self, cluster: int) -> int:
        """The cluster that one became a part of, else itself."""
        while cluster in self.merged:
            cluster = self.merged[cluster]
        return cluster

    def name(self, cluster: int) -> str:
        """What a cluster is called; empty where it has no name."""
        return self.names.get(self.root(cluster), "")


def mark(clusters: NDArray[np.int64]) -> str:
    """Of all samples' clusters in the order of the data: 32 hexadecimal digits by which an export knows its run."""
    return blake2b(clusters.astype("<i8").tobytes(), digest_size=16).hexdigest()


def clusters_of(run: Path) -> NDArray[np.int64]:
    """The clusters of all samples, held-out ones included, in the order of the data.

    Raises:
        UserError: the run has no assignments, or they cannot be read.
    """
    import numpy as np

    parts = [found for part in PARTS if (found := read_assignments(run, part)) is not None]
    if not parts:
        raise UserError(f"{run}: has no assignments.csv; train again")
    order = np.concatenate([part.index for part in parts]).argsort(kind="stable")
    clusters: NDArray[np.int64] = np.concatenate([part.cluster for part in parts])[order]
    return clusters


def _number(run: Path, clusters: NDArray[np.int64]) -> int:
    """K: as the report says, or more where an assignment says more."""
    told = read_any_report(run).get("n_clusters")
    return max(told if isinstance(told, int) else 0, int(clusters.max()) + 1)


def kept(run: Path) -> Edits:
    """What the run folder keeps; nothing where there is no ``names.json``.

    Raises:
        UserError: it is damaged, or of another run.
    """
    return given(run / FILE, run) if (run / FILE).exists() else Edits()


def given(path: Path, run: Path) -> Edits:
    """What an export holds.

    Raises:
        UserError: see `read_edits`.
    """
    clusters = clusters_of(run)
    return read_edits(path, clusters, _number(run, clusters))


def take(path: Path, run: Path) -> Edits:
    """Keep an export in the run folder, in the place of an earlier one.

    Raises:
        UserError: see `read_edits`.
    """
    edits = given(path, run)
    keep(edits, run)
    return edits


def keep(edits: Edits, run: Path) -> None:
    """Write ``names.json``; nothing where nothing was made."""
    if edits == Edits():
        return
    with atomic_write(run / FILE) as unfinished:
        unfinished.write_text(json.dumps({"format": FORMAT, **asdict(edits)}, indent=1, ensure_ascii=False) + "\n")


def read_edits(path: Path, clusters: NDArray[np.int64], n_clusters: int) -> Edits:
    """Read an export of the page, ``.json`` or ``.csv``.

    Args:
        path: the file.
        clusters: of all samples, as the run assigned them.
        n_clusters: K.

    Raises:
        UserError: it is none, is of another run, or names two clusters alike.
    """
    if not path.is_file():
        raise UserError(f"{path}: there is no such file; give what the gallery's page exported")
    with read_errors(f"{path}: is no export of the gallery; export it again", path):
        edits = _from_table(path, clusters) if path.suffix.lower() == ".csv" else _from_json(path)
    if edits.run != mark(clusters):
        raise UserError(f"{path}: is an export of another run, whose clusters are other ones; open this run's gallery")
    _check(path, edits, n_clusters, len(clusters))
    return edits


def _from_json(path: Path) -> Edits:
    said = parse_json(path)
    if said.get("format") != FORMAT:
        raise ValueError(f"format is {said.get('format')!r}, not {FORMAT!r}")
    names = {int(k): " ".join(str(name).split()) for k, name in said.get("names", {}).items()}
    merged, moved = ({int(k): int(to) for k, to in said.get(key, {}).items()} for key in ("merged", "moved"))
    wrong = tuple(sorted({int(row) for row in said.get("wrong", [])}))
    return Edits(str(said["run"]), {k: name for k, name in names.items() if name}, merged, moved, wrong)


def _from_table(path: Path, clusters: NDArray[np.int64]) -> Edits:
    """Names and clusters row by row: a cluster that went to another one as a whole was merged into it."""
    check_text(path)
    with path.open(newline="", encoding="utf-8-sig") as file:
        rows = list(csv.DictReader(file))
    was, now = ({int(row["index"]): int(row[key]) for row in rows} for key in ("cluster", "now"))
    same = len(was) == len(clusters) and all(was.get(i) == k for i, k in enumerate(clusters.tolist()))
    went: dict[int, set[int]] = {}
    for i, k in was.items():
        went.setdefault(k, set()).add(now[i])
    merged = {k: next(iter(to)) for k, to in went.items() if len(to) == 1 and k not in to}
    moved = {i: k for i, k in now.items() if k != was[i] and was[i] not in merged}
    names = {now[int(row["index"])]: name for row in rows if (name := " ".join(row["name"].split()))}
    wrong = tuple(sorted(int(row["index"]) for row in rows if row["wrong"].strip() not in ("", "0")))
    return Edits(mark(clusters) if same else "", names, merged, moved, wrong)


def _check(path: Path, edits: Edits, n_clusters: int, n: int) -> None:
    _check_known(path, (*edits.names, *edits.merged, *edits.merged.values(), *edits.moved.values()), n_clusters)
    if rows := [row for row in (*edits.moved, *edits.wrong) if not 0 <= row < n]:
        raise UserError(f"{path}: speaks of row {rows[0]}, but the run has rows 0 to {n - 1}; export it again")
    for cluster in edits.merged:
        seen = {cluster}
        while cluster in edits.merged:
            if (cluster := edits.merged[cluster]) in seen:
                raise UserError(f"{path}: merges cluster {cluster} into itself; export it again")
            seen.add(cluster)
    standing = {k: name for k, name in edits.names.items() if k not in edits.merged}
    for name, count in Counter(standing.values()).items():
        if count > 1:
            twice = " and ".join(str(k) for k, each in standing.items() if each == name)
            raise UserError(f"{path}: {name!r} names clusters {twice}; give them different names, or merge them")
    if long := [name for name in edits.names.values() if len(name) > LONGEST]:
        raise UserError(f"{path}: a name of {len(long[0])} characters; give at most {LONGEST}")


def _check_known(path: Path, clusters: Iterable[Any], n_clusters: int) -> None:
    if unknown := [k for k in clusters if not 0 <= k < n_clusters]:
        raise UserError(f"{path}: speaks of cluster {unknown[0]}, but the run's are 0 to {n_clusters - 1}")
