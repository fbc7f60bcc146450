"""All samples of a run with what was found of each, in the order of the data."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cmc.runs.assignments import Assignments
from cmc.runs.rows import Rows


@dataclass(frozen=True, eq=False)
class Samples:
    """N samples and K clusters; held-out samples are among them.

    Attributes:
        n_clusters: K.
        row: (N,) row numbers in the data.
        cluster: (N,) from 0.
        confidence: (N,) the largest assignment probability.
        margin: (N,) by how much it exceeds the second; None where unknown.
        calibrated: (N,) how probably another modality says the same cluster; None where unknown.
        own: modality -> (N,) the cluster that it alone would give, -1 where a sample lacks it.
        label: (N,) text, empty where unknown; None where all are.
        id: (N,) text; None without.
        caption: (N,) text; None without.
        embeddings: N x D; None without.
        pictures: of each sample a path, or None where it has no picture; None where no sample has.
    """

    n_clusters: int
    row: NDArray[np.int64]
    cluster: NDArray[np.int64]
    confidence: NDArray[np.float64]
    margin: NDArray[np.float64] | None = None
    calibrated: NDArray[np.float64] | None = None
    own: dict[str, NDArray[np.int64]] = field(default_factory=dict)
    label: NDArray[np.str_] | None = None
    id: NDArray[np.str_] | None = None
    caption: NDArray[np.object_] | None = None
    embeddings: NDArray[np.float32] | None = None
    pictures: Sequence[Path | None] | None = None

    def __len__(self) -> int:
        """N."""
        return len(self.row)

    @property
    def sure(self) -> NDArray[np.float64]:
        """(N,) the calibrated confidence, else the raw one."""
        return self.confidence if self.calibrated is None else self.calibrated

    @property
    def disagrees(self) -> NDArray[np.bool_]:
        """(N,) whether a modality alone would give another cluster."""
        found = np.zeros(len(self), dtype=bool)
        for own in self.own.values():
            found |= (own >= 0) & (own != self.cluster)
        return found

    def names(self) -> list[str]:
        """An id of each, or else its row number."""
        return list(map(str, (self.row if self.id is None else self.id).tolist()))

    def at(self, chosen: NDArray[np.int64]) -> Samples:
        """Those at the given positions."""
        changed: dict[str, Any] = {
            name: value[chosen] for name, value in vars(self).items() if isinstance(value, np.ndarray)
        }
        changed["own"] = {name: own[chosen] for name, own in self.own.items()}
        if self.pictures is not None:
            changed["pictures"] = [self.pictures[i] for i in chosen.tolist()]
        return dataclasses.replace(self, **changed)


def samples_of(rows: Rows, n_clusters: int, pictures: Path | Sequence[Path | None] | None = None) -> Samples:
    """The samples of a run.

    Args:
        rows: what the run found of them.
        n_clusters: K, as the run was told; more where an assignment says more.
        pictures: the folder in which ids are names of picture files, or a path a sample in the order of the data.
    """
    parts = list(rows.parts.values())
    order = np.concatenate([part.index for part in parts]).argsort(kind="stable")
    cluster = _joined(parts, "cluster", order)
    assert cluster is not None
    ids = _joined(parts, "id", order)
    if isinstance(pictures, Path):
        pictures = None if ids is None else _within(pictures, ids.tolist())
    return Samples(
        n_clusters=max(n_clusters, int(cluster.max()) + 1),
        row=np.concatenate([part.index for part in parts])[order],
        cluster=cluster,
        confidence=np.concatenate([part.confidence for part in parts])[order],
        margin=_joined(parts, "margin", order),
        calibrated=_joined(parts, "calibrated", order),
        own={name: np.concatenate([part.own[name] for part in parts])[order] for name in _common(parts)},
        label=_joined(parts, "label", order),
        id=ids,
        caption=_joined(parts, "caption", order),
        embeddings=rows.embeddings,
        pictures=pictures,
    )


def _joined(parts: Sequence[Assignments], name: str, order: NDArray[np.intp]) -> Any:
    """A column of all parts in the order of the data; None where one of them lacks it."""
    columns = [getattr(part, name) for part in parts]
    return None if any(column is None for column in columns) else np.concatenate(columns)[order]


def _common(parts: Sequence[Assignments]) -> list[str]:
    return [name for name in parts[0].own if all(name in part.own for part in parts)]


def _within(folder: Path, ids: Sequence[str]) -> list[Path | None]:
    """The pictures' paths, of names that lead to nowhere outside of the folder."""
    root = os.path.normpath(folder)
    paths = (os.path.normpath(os.path.join(root, name)) for name in ids)
    return [Path(path) if path.startswith(f"{root.rstrip(os.sep)}{os.sep}") else None for path in paths]
