"""What the readers of all forms share: the names that mean something, and dense arrays."""

from __future__ import annotations

import math
import re
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cmc.utils.memory import limit

NamedArrays = dict[str, NDArray[Any]]

LABELS = ("labels", "label", "Y", "y", "gt", "gnd", "truth", "truelabel", "L")
SERIES = re.compile(r"(view|X|data|fea)_?(\d+)")


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
        value = value.tocsc()
        value.check_format(full_check=True)  # toarray writes wherever the indices say
        if (np.diff(value.indptr) < 0).any():  # not checked where no value is stored
            raise ValueError("the columns of a sparse matrix end before they begin")
        value = value.toarray()
    return np.asarray(value)
