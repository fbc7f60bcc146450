"""Numbers to write and to find again, and the two ways in which a reading ends."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from cmc.data import formats
from cmc.data.formats import NamedArrays
from cmc.data.modalities import Modalities
from cmc.errors import UserError
from cmc.utils.safe_read import reading

RNG = np.random.default_rng(0)
IMG = RNG.standard_normal((12, 5))
TXT = RNG.integers(0, 255, (12, 4)).astype(np.uint8)
CODES = np.array([0, 1, 2] * 4)  # what labels are recoded to


def read_here(read: Callable[[Path], NamedArrays], path: Path, form: str) -> NamedArrays:
    """`cmc.data.formats.child.read_apart` without a child, which is a hundred times faster and contains nothing."""
    with reading(path, form):
        return read(path)


def refusal(path: Path, **told: Any) -> str:
    with pytest.raises(UserError) as caught:
        formats.read(path, **told)
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith(str(path))
    return message


def check(path: Path, names: list[str], labelled: bool = True, **told: Any) -> Modalities:
    held = formats.read(path, **told)
    assert list(held.features) == names
    np.testing.assert_array_equal(held.features[names[0]], IMG)
    np.testing.assert_array_equal(held.features[names[1]], TXT)
    if labelled:
        assert held.labels is not None
        np.testing.assert_array_equal(held.labels, CODES)
    else:
        assert held.labels is None
    return held


def cell(*matrices: Any) -> NDArray[Any]:
    row = np.empty((1, len(matrices)), dtype=object)
    for i, matrix in enumerate(matrices):
        row[0, i] = matrix
    return row


def folder_of(path: Path, **arrays: NDArray[Any]) -> Path:
    path.mkdir()
    for name, array in arrays.items():
        np.save(path / f"{name}.npy", array)
    return path
