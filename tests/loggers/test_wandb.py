"""``logger=wandb``: a sweep of two jobs, written offline, is read back and held against the run folders."""

import csv
import itertools
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from omegaconf import OmegaConf
from sklearn.metrics.cluster import contingency_matrix

from cmc import run
from cmc.callbacks import Results
from cmc.errors import Interrupted
from cmc.loggers.wandb import WandbLogger
from cmc.runs.history import read_history
from cmc.training.fit import train
from tests.loggers.conftest import DMIM, PICTURES
from tests.loggers.wandb_file import runs
from tests.quick import interpreter

ROOT = Path(__file__).resolve().parents[2]
NAMES = {"loss": "loss/total", "acc": "scores/acc", "nmi": "scores/nmi", "ari": "scores/ari", "purity": "scores/purity"}
NAMES |= {name: f"label_free/{name}" for name in ("agreement", "balance", "quality", "silhouette", "entropy")}
NAMES |= {name: f"label_free/{name}" for name in ("agreement_held_out", "gap")}


@pytest.fixture(scope="module")
def written(sweep):
    """Run folder -> what W&B wrote into it."""
    folders = sorted(path.parent for path in sweep[0].rglob("metrics.json"))
    return {folder: runs(folder) for folder in folders}


def flat(tree, prefix=""):
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from flat(value, f"{prefix}{key}/")
        elif value is not None:
            yield f"{prefix}{key}", value


def table(folder, value):
    (path,) = folder.rglob(value["path"])
    held = json.loads(path.read_text())
    return held["columns"], held["data"]


def media(one, key):
    """The parts of a medium, whose names W&B joins: ``assignments/path`` and others."""
    last = one.history[-1]
    return last.get(key) or {k.removeprefix(f"{key}/"): v for k, v in last.items() if k.startswith(f"{key}/")}


def test_jobs_of_a_sweep_are_runs_of_their_own_in_one_group(written):
    assert len(written) == 2
    assert all(len(found) == 1 for found in written.values())
    ids = [name for found in written.values() for name in found]
    assert len(set(ids)) == 2
    for seed, (folder, found) in enumerate(written.items()):
        (one,) = found.values()
        assert (one.info.run_group, one.info.display_name) == ("mine", f"dmim-synthetic-seed{seed}")
        assert (one.info.project, one.exit_code) == ("cmc", 0)
        assert set(one.info.tags) == {"dmim", "synthetic", "scaling: minmax"}
        assert json.loads((folder / "trackers.json").read_text()) == {"wandb": one.info.run_id}


def test_every_epoch_is_one_row_with_the_historys_values(written):
    for folder, found in written.items():
        (one,) = found.values()
        history = read_history(folder)
        rows = [row for row in one.history if "loss/total" in row]
        assert [row["epoch"] for row in rows] == [int(row["epoch"]) for row in history] == [0, 1, 2, 3]
        for said, row in zip(rows, history, strict=True):
            expected = {NAMES.get(k, f"loss/{k}"): v for k, v in row.items() if v and k not in ("epoch", "phase")}
            ours = {k: v for k, v in said.items() if k.startswith(("loss/", "scores/", "label_free/"))}
            assert ours == {k: float(v) for k, v in expected.items()}
            assert said["training/learning_rate"] > 0
            assert said["training/samples_per_second"] > 0
            assert said["training/phase"] == 0
        assert any("scores/acc" in row for row in rows)
        assert any(metric.glob_name == "*" and metric.step_metric == "epoch" for metric in one.metrics)


def test_the_learning_rate_is_that_of_the_epoch(written):
    (one,) = next(iter(written.values())).values()
    rates = [row["training/learning_rate"] for row in one.history if "loss/total" in row]
    lr, last = (one.config["method"][key][name] for key, name in (("optimizer", "lr"), ("scheduler", "T_max")))
    assert rates == pytest.approx([lr * (1 + np.cos(np.pi * t / last)) / 2 for t in range(4)])


def test_the_settings_are_the_runs_and_the_summary_is_its_metrics(written):
    for folder, found in written.items():
        (one,) = found.values()
        config = OmegaConf.to_container(OmegaConf.load(folder / "config.yaml"))
        assert {key: one.config[key] for key in config} == config
        report = json.loads((folder / "metrics.json").read_text())
        assert one.config["dataset"] == report["features"]["source"]
        expected = dict(flat(report))
        assert {"scores/acc", "label_free/quality", "features/fingerprint", "protocol", "peak_memory_mib"} <= set(
            expected
        )
        assert {key: one.summary.get(key) for key in expected} == expected


def test_tables_are_thinned_evenly_and_say_so(sweep, written):
    for folder, found in written.items():
        (one,) = found.values()
        columns, rows = table(folder, media(one, "assignments"))
        with (folder / "assignments.csv").open(newline="") as file:
            said, *whole = csv.reader(file)
        assert columns == said
        assert len(rows) == 100
        assert set(np.diff([row[0] for row in rows])) <= {13, 14}
        assert columns[3:] == ["confidence_calibrated", "margin", "cluster_modality_0", "cluster_modality_1", "label"]
        for row in rows:
            assert [f"{cell:.6f}" if isinstance(cell, float) else str(cell) for cell in row] == whole[row[0]]
        columns, rows = table(folder, media(one, "embedding"))
        embeddings = np.load(folder / "embeddings.npy")
        assert (len(rows), len(columns)) == (70, 4 + embeddings.shape[1])
        assert np.allclose([row[4:] for row in rows], embeddings[[row[0] for row in rows]], atol=1e-5)
    assert sweep[1].count("trackers: 100 of 1300 assignments, evenly spaced; assignments.csv holds all") == 2


def test_clusters_are_those_of_the_table(written):
    for folder, found in written.items():
        (one,) = found.values()
        columns, rows = table(folder, media(one, "clusters"))
        with (folder / "clusters.csv").open(newline="") as file:
            said, *whole = csv.reader(file)
        assert columns == said
        shown = [[f"{cell:.6f}" if isinstance(cell, float) else str(cell) for cell in row] for row in rows]
        assert sorted(shown) == sorted(whole)
        assert [row[2] for row in rows] == sorted((row[2] for row in rows), reverse=True)


def test_the_confusion_matrix_counts_every_sample(written):
    for folder, found in written.items():
        (one,) = found.values()
        columns, rows = table(folder, media(one, "confusion_table"))
        assert columns == ["Actual", "Predicted", "nPredictions", "cluster"]
        with (folder / "assignments.csv").open(newline="") as file:
            whole = list(csv.DictReader(file))
        counted = Counter((row["label"], int(row["cluster"])) for row in whole)
        assert {(row[0], row[3]): row[2] for row in rows if row[2]} == counted
        matched = sum(row[2] for row in rows if row[1].startswith(f"{row[0]} "))
        assert matched / 1300 == pytest.approx(json.loads((folder / "metrics.json").read_text())["scores"]["acc"])
        labels, clusters = ([row[key] for row in whole] for key in ("label", "cluster"))
        assert sorted(counted.values()) == sorted(x for x in contingency_matrix(labels, clusters).ravel() if x)
        for name in PICTURES:
            (picture,) = (folder / "wandb").rglob(f"{name}_*.png")
            assert picture.read_bytes() == (folder / "figures" / f"{name}.png").read_bytes()


def test_the_console_has_one_line_of_it_a_run(sweep):
    lines = sweep[1].splitlines()
    ours = [line for line in lines if "wandb" in line.lower() or "w&b" in line.lower()]
    said = [line.partition("] ")[2] for line in ours if "HYDRA" not in line]
    assert len(said) == 2
    for line in said:
        assert line.startswith("W&B: offline; to upload: wandb sync ")
        assert list(Path(line.rpartition(" ")[2]).glob("run-*.wandb"))


def test_a_resumed_run_goes_on_in_the_same_run(composed, tmp_path, monkeypatch):
    config = composed(*DMIM, "logger=[wandb,mlflow]", "~callbacks.figures", "method.batch_size=40")
    folder = tmp_path / "cut"
    folder.mkdir()

    def press(self, trainer, pl_module, batch, batch_idx):
        if (trainer.current_epoch, batch_idx) == (2, 1):
            os.kill(os.getpid(), signal.SIGINT)

    clock = SimpleNamespace(monotonic=itertools.count().__next__)  # every stretch lasts a second
    monkeypatch.setattr("cmc.callbacks.tracking.time", clock)
    with monkeypatch.context() as patch:
        patch.setattr(Results, "on_train_batch_start", press, raising=False)
        with pytest.raises(Interrupted):
            train(config, str(folder))
    before = json.loads((folder / "trackers.json").read_text())
    assert set(before) == {"wandb", "mlflow"}
    time.sleep(1.1)  # the names of W&B's folders tell seconds
    train(composed(f"resume={folder}"), str(folder), [f"resume={folder}"])
    assert json.loads((folder / "trackers.json").read_text()) == before

    assert len(list((folder / "wandb").glob("offline-run-*"))) == 2
    (one,) = runs(folder).values()
    assert one.info.run_id == before["wandb"]
    rows = [row for row in one.history if "loss/total" in row]
    assert [row["epoch"] for row in rows] == [0, 1, 2, 3]
    assert [row["loss/total"] for row in rows] == [float(x["loss"]) for x in read_history(folder)]
    assert [row["training/samples_per_second"] for row in rows] == [120, 120, 40, 120], "since it went on"

    from mlflow.tracking import MlflowClient

    client = MlflowClient(os.environ["MLFLOW_TRACKING_URI"])
    found = client.get_run(before["mlflow"])
    assert found.info.status == "FINISHED"
    points = client.get_metric_history(before["mlflow"], "loss/total")
    assert [(p.step, p.value) for p in points] == [(row["epoch"], row["loss/total"]) for row in rows]


def test_disabled_leaves_nothing(composed, tmp_path):
    train(composed(*DMIM, "logger=wandb", "logger.wandb.mode=disabled", "~callbacks.figures"), str(tmp_path))
    assert (tmp_path / "history.csv").exists()
    assert not (tmp_path / "wandb").exists()
    assert not (tmp_path / "trackers.json").exists()


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ({}, "nobody is logged in; type wandb login, or set WANDB_API_KEY, or give logger.wandb.mode=offline"),
        ({"WANDB_API_KEY": "short"}, "WANDB_API_KEY invalid"),
    ],
)
def test_online_without_a_login_is_one_line_before_anything_begins(tmp_path, key, message):
    kept = {k: v for k, v in os.environ.items() if not k.startswith("WANDB_")}
    environment = {**kept, **key, "HOME": str(tmp_path), "NETRC": str(tmp_path / "netrc"), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "cmc.run", *DMIM, "logger=wandb", "hydra.run.dir=out"]
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30
    )
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"cmc: error: W&B: {message}")
    assert not (tmp_path / "out" / "config.yaml").exists()


def test_a_server_that_cannot_be_reached_ends_a_run_with_one_line_before_its_first_epoch(tmp_path):
    kept = {k: v for k, v in os.environ.items() if not k.startswith("WANDB_")}
    with socket.socket() as closed:  # bound and not listening: nobody answers, and nobody else takes the port
        closed.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{closed.getsockname()[1]}"
        online = {"WANDB_BASE_URL": f"http://{address}", "WANDB_API_KEY": "a" * 40, "WANDB_INIT_TIMEOUT": "2"}
        here = {"HOME": str(tmp_path), "NETRC": str(tmp_path / "netrc"), "PYTHONPATH": str(ROOT)}
        command = [interpreter(), "-m", "cmc.run", *DMIM, "logger=wandb", "hydra.run.dir=out", "~callbacks.figures"]
        done = subprocess.run(
            command,
            cwd=tmp_path,
            env={**kept, **online, **here},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=50,
        )
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    (line,) = [line for line in done.stderr.splitlines() if not line.startswith("[")]  # the run's log
    assert line.startswith("cmc: error: logger.wandb: ")
    assert address in line
    assert line.endswith("; logger.wandb.mode=offline needs no connection")
    assert not (tmp_path / "out" / "history.csv").exists()
    assert not (tmp_path / "out" / "checkpoints").exists()


def test_a_server_is_waited_for_a_minute_unless_the_environment_says_otherwise(tmp_path, monkeypatch):
    def explicit():
        return WandbLogger(str(tmp_path), mode="offline")._wandb_init["settings"].model_dump(exclude_unset=True)

    monkeypatch.delenv("WANDB_INIT_TIMEOUT", raising=False)
    assert explicit()["init_timeout"] == 60
    monkeypatch.setenv("WANDB_INIT_TIMEOUT", "300")
    assert "init_timeout" not in explicit(), "W&B reads it itself"


def test_csv_and_wandb_together_write_what_wandb_alone_does(composed, commanded, tmp_path):
    options = [*DMIM, "logger.wandb.mode=offline", "~callbacks.figures"]
    configs = [composed(f"logger={chosen}", *options) for chosen in ("[csv,wandb]", "[wandb,csv]", "wandb")]
    assert configs[0] == configs[1] == configs[2]
    assert list(configs[0].logger) == ["csv", "wandb"]
    status, _, error = commanded(run, "logger=[csv,wandb]", *options, "hydra.run.dir=out")
    assert status == 0, error
    history = read_history(tmp_path / "out")
    assert [int(row["epoch"]) for row in history] == [0, 1, 2, 3]
    (one,) = runs(tmp_path / "out").values()
    rows = [row for row in one.history if "loss/total" in row]
    assert [row["loss/total"] for row in rows] == [float(row["loss"]) for row in history]
    assert one.exit_code == 0
    assert one.summary["scores/acc"] == json.loads((tmp_path / "out/metrics.json").read_text())["scores"]["acc"]


def test_a_run_that_is_ended_early_is_no_finished_one(commanded, tmp_path):
    options = [*DMIM, "logger.wandb.mode=offline", "~callbacks.figures", "hydra.run.dir=out"]
    ends = "+callbacks.mine._target_=tests.callbacks.test_stopping.Ends"
    status, _, error = commanded(run, "logger=wandb", *options, ends)
    assert status == 2
    assert "ended after epoch 2 of 4, and not by callbacks.stopping" in error
    (one,) = runs(tmp_path / "out").values()
    assert one.exit_code == 1
    assert "features/fingerprint" not in one.summary, "it has no results"
    assert not (tmp_path / "out" / "metrics.json").exists()


@pytest.mark.slow
def test_two_processes_log_once(tmp_path):
    command = [interpreter(), "-m", "cmc.run", *DMIM, "logger=wandb", "trainer.devices=2", "hydra.run.dir=out"]
    done = subprocess.run(
        command, cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    (one,) = runs(tmp_path).values()
    rows = [row for row in one.history if "loss/total" in row]
    assert [row["loss/total"] for row in rows] == [float(x["loss"]) for x in read_history(tmp_path / "out")]
