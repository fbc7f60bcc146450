"""Where rows come from: scaled tensors on the device where they are used, or arrays that stay on disk."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from cmc.data.scaling import Scaler


class Resident:
    """Scaled float32 tensors laid once on the device where they are used."""

    def __init__(
        self,
        features: Mapping[str, np.ndarray],
        rows: np.ndarray | None,
        scaler: Scaler,
        present: np.ndarray | None = None,
    ) -> None:
        self.present = _chosen(present, rows)
        self.tensors = tuple(_scaled(scaler, name, x if rows is None else x[rows]) for name, x in features.items())
        if self.present is not None:
            self.tensors = without_gaps(self.tensors, self.present)
        self.n_samples = self.tensors[0].shape[0]

    def to(self, device: torch.device) -> Resident:
        """Lay the tensors on ``device``; nothing moves when they are there."""
        self.tensors = tuple(x.to(device) for x in self.tensors)
        return self

    def take(self, index: Tensor) -> tuple[Tensor, ...]:
        """Copies of the rows at the given positions."""
        index = index.to(self.tensors[0].device, non_blocking=True)
        return tuple(x.index_select(0, index) for x in self.tensors)

    def span(self, start: int, stop: int) -> tuple[Tensor, ...]:
        """Views of the rows start..stop-1."""
        return tuple(x[start:stop] for x in self.tensors)


class Mapped:
    """Arrays that stay on disk: rows are read, scaled and moved when a batch asks for them."""

    def __init__(
        self,
        features: Mapping[str, np.ndarray],
        rows: np.ndarray | None,
        scaler: Scaler,
        present: np.ndarray | None = None,
    ) -> None:
        self._features, self._rows, self._scaler = features, rows, scaler
        self.present = _chosen(present, rows)
        self._device = torch.device("cpu")
        self.n_samples = len(next(iter(features.values()))) if rows is None else len(rows)

    def to(self, device: torch.device) -> Mapped:
        """Move batches to ``device`` from now on."""
        self._device = device
        return self

    def take(self, index: Tensor) -> tuple[Tensor, ...]:
        """The rows at the given positions, read in the order in which they lie on disk."""
        wanted = index.numpy() if self._rows is None else self._rows[index.numpy()]
        order = np.argsort(wanted, kind="stable")
        back = np.empty_like(order)
        back[order] = np.arange(len(order))
        return self._scaled({name: x[wanted[order]][back] for name, x in self._features.items()}, index)

    def span(self, start: int, stop: int) -> tuple[Tensor, ...]:
        """The rows start..stop-1."""
        rows = slice(start, stop) if self._rows is None else self._rows[start:stop]
        return self._scaled({name: x[rows] for name, x in self._features.items()}, slice(start, stop))

    def _scaled(self, parts: Mapping[str, np.ndarray], taken: Tensor | slice) -> tuple[Tensor, ...]:
        tensors = tuple(_scaled(self._scaler, name, x, self._device) for name, x in parts.items())
        return tensors if self.present is None else without_gaps(tensors, self.present[taken])


def without_gaps(rows: Sequence[Tensor], present: Tensor) -> tuple[Tensor, ...]:
    """Rows of all modalities, B x d each, with 0 in the place of those that are not there (``present``, B x M)."""
    columns = present.to(rows[0].device).T.unsqueeze(2)
    return tuple(x.where(there, 0.0) for x, there in zip(rows, columns, strict=True))


def _chosen(present: np.ndarray | None, rows: np.ndarray | None) -> Tensor | None:
    """Of the chosen rows; None where they lack nothing."""
    chosen = present if present is None or rows is None else present[rows]
    return None if chosen is None or chosen.all() else torch.from_numpy(chosen)


def _scaled(scaler: Scaler, name: str, x: np.ndarray, device: torch.device | str = "cpu") -> Tensor:
    """Rows of a modality as float32 on a device, scaled there, or here in double precision (some devices have none)."""
    if scaler.is_fine(name):
        return scaler(name, _tensor(x, np.float64)).float().to(device)
    return scaler(name, _tensor(x, np.float32).to(device))


def _tensor(x: np.ndarray, dtype: type) -> Tensor:
    array: np.ndarray = np.ascontiguousarray(x, dtype=dtype)
    return torch.from_numpy(array if array.flags.writeable else array.copy())
