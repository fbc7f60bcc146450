"""A short sweep in one process: what it holds does not grow; `make soak` is the long one."""

import gc
import logging

import pytest

from tests.soak import METHODS, quiet, slopes, sweep


@pytest.fixture
def own_log():
    """Hydra's handlers go when the test ends."""
    root = logging.getLogger()
    before, level = list(root.handlers), root.level
    yield
    root.handlers[:] = before
    root.setLevel(level)


def test_a_sweep_holds_on_to_nothing(tmp_path, own_log):
    gc.disable()  # by itself it would collect now and then, some runs late
    try:
        with quiet():
            marks = sweep(8, tmp_path, "callbacks.figures=null")
    finally:
        gc.enable()
    assert len(marks) == 9
    found = slopes(marks)
    assert found["objects"] < 100  # a trainer that is left lying is 6,000
    assert found["files"] <= 0
    assert found["threads"] <= 0
    finished = list((tmp_path / "sweep").glob("*/metrics.json"))
    assert len(finished) == 8
    assert {path.parent.name.split("-")[1] for path in finished} == {f"tiny_{name}" for name in METHODS}
