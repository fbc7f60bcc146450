"""The four published data sets through the command line: surrogates of their whole size, and prepare."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from hydra.utils import instantiate

from tests.conftest import SMALL
from tests.data import trees
from tests.quick import interpreter

ROOT = Path(__file__).resolve().parents[3]
SIZES = {"nuswide": [2500] * 8, "espgame": [1755, 1719, 1694, 1631, 1579, 1462, 1192]}
SIZES |= {"mirflickr": [2026] * 4 + [2025] * 2, "iaprtc12": [1310] + [1309] * 5}


def cmc(door, *arguments, cwd, **settings):
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [interpreter(), "-m", f"cmc.{door}", *arguments]
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, **settings)


WHOLE = [pytest.param(method, None, marks=pytest.mark.slow) for method in ("dmim", "cmmc")]


@pytest.mark.parametrize(("method", "per_class"), [("dmim", 60), ("cmmc", 50), *WHOLE])
def test_surrogates_of_all_four_run_with_both_methods(tmp_path, method, per_class):
    """With so many samples of each class, or with all; their numbers are in the next test."""
    small = [*SMALL[method], *([f"method.batch_size={100 if per_class else 512}"] if method == "cmmc" else [])]
    lean = ["experiment=smoke", "~callbacks.figures", "callbacks.results.embeddings=false", "trainer.accelerator=cpu"]
    sweep = ["-m", f"method={method}", f"data={','.join(SIZES)}", "++data.surrogate=true", "hydra.sweep.dir=out"]
    few = [f"++data.per_class={per_class}"] if per_class else []
    done = cmc("run", *sweep, *few, *small, *lean, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    reports = [json.loads(path.read_text()) for path in sorted(tmp_path.glob("out/*/metrics.json"))]
    assert [report["data"] for report in reports] == [f"{name} (surrogate)" for name in SIZES]
    for report, sizes in zip(reports, SIZES.values(), strict=True):
        assert report["features"]["surrogate"] is True
        assert report["features"]["source"].startswith("surrogate of ")
        n = per_class * len(sizes) if per_class else sum(sizes)
        assert (report["features"]["n_samples"], report["n_clusters"]) == (n, len(sizes))
        assert report["features"]["dims"] == {"image": 100, "text": 100}
        assert set(report["phases"].values()) == {2}
    assert done.stderr.count("SURROGATE") == 4


@pytest.mark.parametrize("name", SIZES)
def test_a_surrogate_has_the_class_sizes_of_the_real_one(composed, name):
    config = composed(f"data={name}", "data.surrogate=true")
    held = instantiate(config.data).read()
    assert np.bincount(held.labels).tolist() == SIZES[name]
    assert {key: x.shape for key, x in held.features.items()} == {
        key: (sum(SIZES[name]), 100) for key in ("image", "text")
    }


def test_from_raw_files_to_scores(tmp_path):
    trees.nuswide(tmp_path / "raw", n=60)
    options = ["data.concepts=3", "data.per_class=null"]
    made = cmc("prepare", "data=nuswide", "data.raw=raw", *options, cwd=tmp_path)
    assert made.returncode == 0, made.stderr
    assert "data/nuswide: " in made.stdout
    assert "next: python -m cmc.run data=nuswide" in made.stdout
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "raw"], "nothing else is left behind"
    run = ["data=nuswide", *SMALL["cmmc"], "experiment=smoke", "~callbacks.figures", "hydra.run.dir=out"]
    done = cmc("run", *run, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    report = json.loads((tmp_path / "out/metrics.json").read_text())
    assert report["features"]["source"] == "NUS-WIDE, feature folder data/nuswide"
    assert report["data"] == "nuswide"


def test_prepare_stopped_by_ctrl_c_goes_on(tmp_path):
    trees.iaprtc12(tmp_path / "raw", n=300)
    arguments = ["data=iaprtc12", "data.raw=raw", "data.concepts=3", "data.per_class=null", "features.batch_size=1"]
    command = [interpreter(), "-m", "cmc.prepare", *arguments]
    process = subprocess.Popen(command, cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(ROOT)}, stderr=-1, text=True)
    begun = tmp_path / "data/iaprtc12/image.npy.part"
    limit = time.monotonic() + 180
    while not begun.exists():
        assert time.monotonic() < limit
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=60)[1].splitlines()[-1] == "cmc: stopped; the same command goes on from here"
    assert process.returncode == 130
    unfinished = cmc("run", "data=iaprtc12", cwd=tmp_path)
    assert unfinished.returncode == 2
    assert "run the same cmc.prepare again to go on" in unfinished.stderr
    assert cmc("prepare", *arguments, cwd=tmp_path).returncode == 0
    assert not begun.exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "You must specify 'data'"),
        (["data=digits"], "needs no preparation"),
        (["data=nuswide"], "data.raw: not given"),
        (["data=nuswide", "data.raw=none"], "none: there is no such folder"),
        (["data=nuswide", "data.raw=."], "nothing of NUS-WIDE is here"),
        (["data=nuswide", "data.rew=."], "data.rew: no such key; did you mean data.raw?"),
        (["data=nuswide", "data.concepts=[1.5]"], "data.concepts: "),
        (["data=nuswide", "features.batch_size=0"], "features.batch_size: 0 given"),
        (
            ["data=nuswide", "features=klip"],
            "features=klip: no such features; there are clip, default, small; did you mean",
        ),
    ],
)
def test_mistakes_of_prepare_are_one_line(tmp_path, monkeypatch, capsys, arguments, message):
    from cmc import prepare

    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HYDRA_FULL_ERROR", raising=False)
    monkeypatch.setattr(sys, "argv", ["cmc.prepare", *arguments])
    with pytest.raises(SystemExit) as stop:
        prepare.main()
    assert stop.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("cmc: error: ")
    assert message in line
    assert not list(tmp_path.iterdir())
