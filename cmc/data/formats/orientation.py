"""Whether samples are the rows or the columns of matrices: by the lengths and the names that they share."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cmc.data.formats.arrays import Contents, NamedArrays
from cmc.data.modalities import shape_text
from cmc.errors import UserError

ORIENTATIONS = ("auto", "rows", "columns")
_OF_FEATURES = {"gene", "genes", "feature", "features", "probe", "symbol", "protein", "mirna", "cpg", "variable"}
_COUNTED = {"", "f", "v", "x", "c", "d", "col", "column", "dim", "feat", "feature", "var", "pc", "component", "attr"}
_ALIKE = 0.5  # of two sets of names, the share that both have of all

Ids = dict[str, NDArray[np.str_] | None]


@dataclass(frozen=True)
class Sides:
    """Modalities with the names of their rows and columns, and the labels' number and ids."""

    features: NamedArrays
    rows: Ids
    columns: Ids
    corners: Mapping[str, str]
    n_labels: int | None
    labelled: set[str]
    common: NDArray[np.str_] | None

    @classmethod
    def of(cls, held: Contents, features: NamedArrays, labels: NamedArrays, common: NDArray[np.str_] | None) -> Sides:
        """Gather them.

        Args:
            held: what a file holds.
            features: its modalities, as they lie.
            labels: its labels, by name.
            common: ids of all samples, row by row; None without.
        """
        labelled = {each for name in labels if name in held.ids for each in held.ids[name].tolist()}
        return cls(
            features,
            {name: held.ids.get(name) for name in features},
            {name: held.headings.get(name) for name in features},
            held.corners,
            next((len(values) for name, values in labels.items() if name not in held.ids), None),
            labelled,
            common,
        )

    def transposed(self, told: str) -> bool:
        """Whether samples are columns; ``told`` is ``rows``, ``columns`` or ``auto``.

        Raises:
            UserError: nothing tells.
        """
        if told != "auto":
            return told == "columns"
        if (by_names := self._by_names()) is not None:
            return by_names
        return _samples_are_columns(self.features, self.n_labels)

    def _by_names(self) -> bool | None:
        """None where the names do not tell."""
        if any(ids is None for ids in (*self.rows.values(), *self.columns.values())):
            return False if any(ids is not None for ids in self.rows.values()) else None
        if self.labelled:
            fits = [_share([self.labelled, *map(_set, side.values())]) for side in (self.rows, self.columns)]
            if max(fits) > 0:
                return fits[1] > fits[0]
        rows, columns = (_share([*map(_set, side.values())]) for side in (self.rows, self.columns))
        lengths = [{array.shape[side] for array in self.features.values()} for side in (0, 1)]
        if columns < _ALIKE or (rows < _ALIKE and len(lengths[0]) == 1 < len(lengths[1])):
            return False
        if rows < _ALIKE or len(lengths[1]) == 1 < len(lengths[0]):
            return True
        if rows != columns and max(rows, columns) == 1:
            return columns == 1
        corners = {self.corners.get(name, "").lower() for name in self.features}
        if corners <= _OF_FEATURES:
            return True
        if "" not in corners or all(map(_only_count, self.columns.values())):
            return False
        raise UserError(
            "rows and columns both have the same names in every table, so that samples could be either; say "
            "data.orientation=rows or data.orientation=columns"
        )

    def ids(self, transposed: bool) -> Ids:
        """Of the samples, in the order of each modality's."""
        if transposed:
            has_rows = any(ids is not None for ids in self.rows.values())
            return dict(self.columns) if has_rows else dict.fromkeys(self.features)
        return {name: self.common if ids is None and self._fits(name) else ids for name, ids in self.rows.items()}

    def _fits(self, name: str) -> bool:
        return self.common is not None and len(self.features[name]) == len(self.common)


def _set(ids: NDArray[np.str_] | None) -> set[str]:
    return set() if ids is None else {*ids.tolist()}


def _only_count(names: NDArray[np.str_] | None) -> bool:
    """Whether names are those of columns that have none of their own: ``f0, f1, ...``, ``V1``, ``dim_3``."""
    found = [re.fullmatch(r"([A-Za-z]*)[_. -]?\d+", name) for name in ([] if names is None else names.tolist())]
    return all(match is not None and match[1].lower() in _COUNTED for match in found)


def _share(sets: list[set[str]]) -> float:
    """Of several sets, the share of the smallest that is in all, of the largest's size."""
    return len(set.intersection(*sets)) / max(1, *map(len, sets))


def upright(features: NamedArrays, transposed: bool) -> NamedArrays:
    """Make every modality N x d; a vector, which must have been asked for by name, is N x 1 in either case."""
    turned = {name: array.T if transposed and array.ndim == 2 else array for name, array in features.items()}
    return {name: array[:, None] if array.ndim == 1 else array for name, array in turned.items()}


def _samples_are_columns(features: NamedArrays, n_samples: int | None) -> bool:
    """Decide for all matrices together, by the one length that they share, with the labels where there are any."""
    shapes = [array.shape for array in features.values() if array.ndim == 2]
    rows, columns = ({shape[axis] for shape in shapes} for axis in (0, 1))
    rows_fit, columns_fit = (len(n) == 1 and n_samples in (None, *n) for n in (rows, columns))
    if not rows_fit and not columns_fit:  # refused later: of the two, the side that is nearer to fitting
        return len(columns) == 1 < len(rows) and n_samples not in rows
    if not rows_fit or not columns_fit or len(features) < 2:
        return not rows_fit
    # one shape for all, and no labels or as many as either side: without labels N x d is what people store, but for the
    # cells of ``data``, which are d x N here and N x d there
    if rows == columns or any(name.startswith("data") for name in features):
        raise UserError(
            f"every modality is {shape_text(next(iter(features.values())))}, so that samples could be rows or "
            "columns; say data.orientation=rows or data.orientation=columns"
        )
    return False
