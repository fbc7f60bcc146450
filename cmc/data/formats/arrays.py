"""What the readers of all forms share: the names that mean something, dense arrays, and one line for any damage."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cmc.errors import UserError

Arrays = dict[str, NDArray[Any]]

LABELS = ("labels", "label", "Y", "y", "gt", "gnd", "truth", "truelabel", "L")
SERIES = re.compile(r"(view|X|data|fea)_?(\d+)")


def is_numeric(array: NDArray[Any]) -> bool:
    """Tell numbers (complex ones too, which are refused later and by name) from text, records and objects."""
    return array.dtype.kind in "buifc"


def dense(value: Any) -> NDArray[Any]:
    """Return a plain array of what SciPy may hold as a sparse one.

    Raises:
        ValueError: The sparse array's indices lie outside of it, as in a damaged file.
    """
    if hasattr(value, "toarray"):
        value = value.tocsc()
        value.check_format(full_check=True)  # toarray writes wherever the indices say
        value = value.toarray()
    return np.asarray(value)


@contextmanager
def reading(where: str, form: str) -> Iterator[None]:
    """Turn whatever a library raises on a damaged file into one line.

    Args:
        where: The file, and where known the array in it; opens the line.
        form: What it was read as, with its article.

    Raises:
        UserError: In place of anything else raised within.
    """
    try:
        yield
    except UserError:
        raise
    except MemoryError:
        raise UserError(
            f"{where}: does not fit into memory; save each modality as .npy, and give their folder, which is mapped"
        ) from None
    except Exception as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        if re.search("Object arrays cannot be loaded|Python objects in dtype", reason):
            raise UserError(
                f"{where}: holds Python objects, and loading these could run any code; save it as plain numbers"
            ) from None
        raise UserError(
            f"{where}: cannot be read as {form}; cut short or damaged? copy or download it again ({reason})"
        ) from None
