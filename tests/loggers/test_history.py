"""``history.csv``: no row twice, and no half row, whatever stopped the run before."""

import errno
import io

import pytest

from cmc.loggers.history import HistoryLogger
from cmc.runs.history import read_history

PHASES = {"a": {"epochs": 3}, "b": {"epochs": 9}}


def log(folder, *epochs):
    logger = HistoryLogger(str(folder), PHASES)
    for epoch in epochs:
        logger.log_metrics({"epoch": epoch, "loss": epoch / 8, **({"acc": 0.5} if epoch >= 3 else {})})
    return logger


def test_a_run_killed_after_its_checkpoint_has_no_row_twice(tmp_path):
    log(tmp_path / "whole", *range(12))
    log(tmp_path / "cut", *range(11))
    log(tmp_path / "cut", *range(6, 12))
    assert (tmp_path / "cut/history.csv").read_bytes() == (tmp_path / "whole/history.csv").read_bytes()


@pytest.mark.parametrize("torn", ["1", "11", "11,b", "11,b,0.12"])
def test_a_torn_row_is_no_row_of_another_epoch(tmp_path, torn):
    log(tmp_path / "whole", *range(12))
    log(tmp_path / "cut", *range(11))
    with (tmp_path / "cut/history.csv").open("a") as file:
        file.write(torn)
    log(tmp_path / "cut", 11)
    assert (tmp_path / "cut/history.csv").read_bytes() == (tmp_path / "whole/history.csv").read_bytes()


def test_a_run_begun_anew_in_the_folder_of_one_without_checkpoint_has_its_own_rows(tmp_path):
    log(tmp_path, *range(5))
    log(tmp_path, 0)
    assert len(read_history(tmp_path)) == 1


def test_on_a_full_disk_no_half_row_is_left(tmp_path, monkeypatch):
    logger = log(tmp_path, *range(5))
    before = (tmp_path / "history.csv").read_bytes()
    opened = type(tmp_path).open

    class Full(io.TextIOWrapper):
        def write(self, text):
            super().write(text[:4])
            self.flush()
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(type(tmp_path), "open", lambda path, *a, **k: Full(opened(path, "ab")))
    with pytest.raises(OSError, match="No space left"):
        logger.log_metrics({"epoch": 5, "loss": 1.0, "acc": 0.5})
    monkeypatch.undo()
    assert (tmp_path / "history.csv").read_bytes() == before
