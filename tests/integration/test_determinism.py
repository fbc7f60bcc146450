"""The same seed twice gives the same run folder, but for times and paths: on one and on two processes, every file."""

import json
import re
import sys

import numpy as np
import pytest
import torch

from cmc.figures.style import blank, save
from tests.conftest import SMALL, TINY, compose_with
from tests.distributed.test_collectives import port, processes  # noqa: F401 - port is a fixture

METHODS = ("cmmc", "dmim")
DRAWN = "dmim"  # the method whose pictures are drawn and compared; drawing takes longer than training
TIMES = re.compile(r"^\[[^]]*\] |\b[\d.]+ s\b", re.MULTILINE)
SETTINGS = [
    "data.holdout=0.2",
    "data.scaling=standard",
    "callbacks.checkpoints.minutes=0",
]

TRAIN = """
import logging, os, sys
from pathlib import Path
from tests.integration.test_determinism import run

logging.basicConfig(level=logging.INFO, format="[%(asctime)s] %(message)s")
run(Path(sys.argv[1]), f"trainer.devices={os.environ['WORLD_SIZE']}")
"""


def run(folder, *overrides, methods=METHODS):
    """Train with both methods; of several processes each calls this."""
    from cmc.training.fit import train

    for method in methods:
        (folder / method).mkdir(parents=True, exist_ok=True)
        pictures = "callbacks.figures.projection=pca" if method == DRAWN else "callbacks.figures=null"
        settings = [*SMALL[method], *TINY, *SETTINGS, pictures, *overrides]
        train(compose_with(f"method={method}", *settings), str(folder / method))


def content(path, folder):
    """What a file says besides times, paths and memory."""
    if path.suffix == ".json":
        told = json.loads(path.read_text())
        return {key: value for key, value in told.items() if key not in ("seconds", "peak_memory_mib")}
    if path.suffix in (".yaml", ".log"):
        return TIMES.sub("", path.read_text().replace(str(folder), "RUN"))
    if path.suffix == ".npz":
        with np.load(path) as arrays:
            return {name: (array.dtype.str, array.shape, array.tobytes()) for name, array in arrays.items()}
    if path.suffix == ".ckpt":
        return plain(torch.load(path, weights_only=True))
    return path.read_bytes()


def plain(value):
    """A checkpoint's tree with tensors as their bytes, without what counts seconds."""
    if isinstance(value, torch.Tensor):
        return str(value.dtype), tuple(value.shape), value.numpy().tobytes()
    if isinstance(value, dict):
        return {key: plain(each) for key, each in value.items() if key != "seconds"}
    return [plain(each) for each in value] if isinstance(value, list | tuple) else value


def files(folder):
    return sorted(path.relative_to(folder) for path in folder.rglob("*") if path.is_file())


def assert_alike(one, two):
    assert files(one) == files(two)
    held = {path.name for path in files(one)}
    assert {"metrics.json", "history.csv", "assignments_holdout.csv", "embeddings.npy", "last.ckpt"} <= held
    assert "config.yaml" in held
    assert ("embedding.png" in held) == (one.name == DRAWN)
    different = [str(path) for path in files(one) if content(one / path, one) != content(two / path, two)]
    assert not different


def test_one_process(tmp_path):
    """The second time in a process that has trained before."""
    for name in ("one", "two"):
        run(tmp_path / name)
    for method in METHODS:
        assert_alike(tmp_path / "one" / method, tmp_path / "two" / method)


def test_another_seed_gives_another_folder(tmp_path):
    """What is compared above can differ."""
    for name in ("0", "1"):
        run(tmp_path / name, f"seed={name}", "callbacks.figures=null", methods=("dmim",))
    one, two = tmp_path / "0/dmim", tmp_path / "1/dmim"
    different = {path.name for path in files(one) if content(one / path, one) != content(two / path, two)}
    assert different == {path.name for path in files(one)}


def test_a_figure_has_no_date(tmp_path, monkeypatch):
    for name, second in (("one", "0"), ("two", "86400")):
        monkeypatch.setenv("SOURCE_DATE_EPOCH", second)  # what Matplotlib takes for the time
        figure = blank(2, 1)
        figure.add_subplot().plot([1, 3, 2], label="x")
        save(figure, tmp_path / name, ["png", "pdf", "svg"])
    for ending in ("png", "pdf", "svg"):
        assert (tmp_path / f"one.{ending}").read_bytes() == (tmp_path / f"two.{ending}").read_bytes()


@pytest.mark.parametrize("python", [None, pytest.param(sys.executable, marks=pytest.mark.slow)])
def test_two_processes(tmp_path, monkeypatch, port, python):  # noqa: F811
    """The second time Python walks its sets in another order, where its interpreter is begun anew and not forked."""
    for name, salt in (("one", "1"), ("two", "2")):
        monkeypatch.setenv("PYTHONHASHSEED", salt)
        processes(TRAIN, [tmp_path / name], 2, port, python)
    for method in METHODS:
        assert_alike(tmp_path / "one" / method, tmp_path / "two" / method)
