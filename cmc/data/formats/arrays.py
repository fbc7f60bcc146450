"""What the readers of all forms share: the names that mean something, and dense arrays."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from cmc.utils.memory import limit

_T = TypeVar("_T")
NamedArrays = dict[str, NDArray[Any]]  # or, of a matrix, `cmc.data.formats.sparse.Sparse`, which goes for one

LABELS = ("labels", "label", "Y", "y", "gt", "gnd", "truth", "truelabel", "L")
_LABELS_TOO = {"target", "targets", "class", "classlabel", "classlabels", "groundtruth", "ytrue", "truelabels"}
_IDS = {"id", "ids", "index", "name", "names", "key", "barcode", "barcodes", "uid", "uuid", "filename", "rownames"}
_IDS_OF = {"sample", "cell", "case", "patient", "subject", "image", "img", "item", "row", "obs", "file", "unnamed:0"}
SERIES = re.compile(r"(view|X|data|fea)_?(\d+)")


@dataclass
class Contents:
    """What a file or folder holds, before it is told what is what.

    Attributes:
        arrays: by name.
        ids: array -> one text a row, where the rows have ids of their own; see `as_ids`.
        headings: array -> one text a column, where the columns have names.
        remarks: what was left out or taken for what, a phrase each.
        asked: array -> why it is no modality unless `data.features` names it.
        corners: array -> the heading above its ids.
        shapes: array -> (H, W) or (H, W, C), where its rows were pictures.
    """

    arrays: NamedArrays
    ids: dict[str, NDArray[np.str_]] = field(default_factory=dict)
    headings: dict[str, NDArray[np.str_]] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)
    asked: dict[str, str] = field(default_factory=dict)
    corners: dict[str, str] = field(default_factory=dict)
    shapes: dict[str, tuple[int, ...]] = field(default_factory=dict)

    def only(self, names: Mapping[str, str]) -> Contents:
        """Of these arrays alone (name -> new name)."""
        return Contents(
            {new: self.arrays[old] for old, new in names.items()},
            _renamed(self.ids, names),
            _renamed(self.headings, names),
            list(self.remarks),
            _renamed(self.asked, names),
            _renamed(self.corners, names),
            _renamed(self.shapes, names),
        )


def _renamed(held: Mapping[str, _T], names: Mapping[str, str]) -> dict[str, _T]:
    return {names[old]: each for old, each in held.items() if old in names}


def is_label_name(name: str) -> bool:
    """Whether labels bear this name, as that of an array, a file or a column."""
    return name in LABELS or name.lower() in LABELS or _squeezed(name) in _LABELS_TOO


def is_id_name(name: str) -> bool:
    """Whether a column of ids bears this heading; none at all is one, too."""
    bare = _squeezed(name)
    return not bare or bare in _IDS | _IDS_OF or (bare[-2:] == "id" and bare[:-2] in _IDS_OF)


def _squeezed(name: str) -> str:
    return re.sub(r"[_\-. ]", "", name.lower())


def as_ids(values: Any) -> NDArray[np.str_]:
    """Ids as text: without blanks at their ends, whole numbers without a point, nothing for what is none."""
    listed = np.asarray(values).ravel().tolist()
    if all(type(value) is str for value in listed):
        return np.array([value.strip() for value in listed], dtype=str)
    return np.array([_id(value) for value in listed], dtype=str)


def _id(value: Any) -> str:
    if value is None or value != value:
        return ""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value.decode(errors="replace") if isinstance(value, bytes) else value).strip()


def counts_up(values: NDArray[Any]) -> bool:
    """Whether numbers do no more than count: each is the one before it plus 1."""
    if len(values) < 3 or values.dtype.kind not in "uif" or values[1] - values[0] != 1 or values[2] - values[1] != 1:
        return False
    return bool(np.array_equal(values, np.arange(len(values)) + float(values[0])))


def is_one_hot(array: NDArray[Any]) -> bool:
    """Whether every row holds a single 1 and is 0 otherwise, no column is all 0, and there are twice as many rows."""
    if array.ndim != 2 or array.shape[1] < 2 or len(array) < 2 * array.shape[1] or array.dtype.kind not in "buif":
        return False
    if not isinstance(array, np.ndarray):  # a large sparse one
        return False
    if not is_once(array[:1]):
        return False
    return is_once(array) and bool((array != 0).any(0).all())


def is_once(array: NDArray[Any]) -> bool:
    """Whether every row holds a single 1 and is 0 otherwise."""
    return bool((((array == 0) | (array == 1)).all(1) & ((array != 0).sum(1) == 1)).all())


def is_numeric(array: NDArray[Any]) -> bool:
    """Tell numbers (complex ones too, which are refused later and by name) from text, records and objects."""
    return array.dtype.kind in "buifc"


def dense(value: Any) -> NDArray[Any]:
    """Return a plain array of what SciPy may hold as a sparse one.

    Raises:
        ValueError: The sparse array's indices lie outside of it, as in a damaged file.
        MemoryError: It takes more than reading may.
    """
    if hasattr(value, "toarray"):
        if value.dtype.itemsize * max(math.prod(value.shape), *value.shape) > limit():
            raise MemoryError
        value = value if value.format in ("csc", "csr") else value.tocsc()
        value.check_format(full_check=True)  # toarray writes wherever the indices say
        if (np.diff(value.indptr) < 0).any():  # not checked where no value is stored
            raise ValueError(
                f"the {'columns' if value.format == 'csc' else 'rows'} of a sparse matrix end before they begin"
            )
        value = value.toarray()
    return np.asarray(value)
