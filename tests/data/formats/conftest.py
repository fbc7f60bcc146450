"""MATLAB and HDF5 files are read in this process, unless a test asks for the child that users get."""

from __future__ import annotations

import pytest

from cmc.data.formats import arrow_tables, hdf5, matlab
from tests.data.formats.common import read_here

APART = ("test_child", "test_child_memory", "test_damage", "test_foreign", "test_limits", "test_wide")


@pytest.fixture
def apart() -> None:
    """Have a child read, as users have it; modules of `APART` have it anyway."""


@pytest.fixture(autouse=True)
def read_in_this_process(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A child takes a second, most of which is its imports; what becomes of arrays on the way is `test_child`'s."""
    if request.module.__name__.rpartition(".")[2] not in APART and "apart" not in request.fixturenames:
        for module in (arrow_tables, hdf5, matlab):
            monkeypatch.setattr(module, "read_apart", read_here)
