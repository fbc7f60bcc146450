"""method.compile: the same training, through torch.compile."""

from __future__ import annotations

import pytest

from cmc.errors import UserError
from cmc.methods.cmmc import CMMC
from cmc.runs.history import read_history


@pytest.mark.slow
@pytest.mark.parametrize("method", ["cmmc", "dmim"])
def test_a_compiled_run_has_the_same_losses(tiny_run, tmp_path, method):
    settings = ["max_phase_epochs=2"] + (["method.restarts=1"] if method == "dmim" else [])
    histories = []
    for compiled in ("false", "true"):
        folder = tmp_path / compiled
        tiny_run(*settings, f"method.compile={compiled}", method=method, folder=folder)
        histories.append(read_history(folder))
    assert [row["phase"] for row in histories[0]] == [row["phase"] for row in histories[1]]
    losses = [[float(row["loss"]) for row in rows] for rows in histories]
    assert losses[1][0] == pytest.approx(losses[0][0], rel=1e-5)
    assert losses[1] == pytest.approx(losses[0], rel=1e-2), "Adam's first steps make much of rounding"


def test_a_machine_without_a_compiler_is_told_so(monkeypatch):
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(UserError, match=r"^method\.compile: true given, but there is no C\+\+ compiler"):
        CMMC({"a": 3, "b": 2}, 2, {"reconstruct": {"epochs": 1}}, lambda p: None, compile=True)
