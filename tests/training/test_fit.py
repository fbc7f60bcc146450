"""Whole runs, very small: what the folder holds, labels that touch nothing, runs stopped in every phase."""

import csv
import json
import os
import signal

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf
from pytorch_lightning import Callback
from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score

from cmc.callbacks import Results
from cmc.errors import Interrupted, UserError
from cmc.runs.history import read_history
from cmc.training.fit import train
from tests.conftest import SMALL


def rows(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_the_run_folder_holds_what_a_reader_needs(tiny_run, tmp_path):
    report = tiny_run("seed=3", figures=True)
    folder = tmp_path / "run"
    assert report == json.loads((folder / "metrics.json").read_text())
    assert (report["method"], report["data"], report["seed"]) == ("cmmc", "synthetic", 3)
    assert set(report["scores"]) == {"acc", "nmi", "ari", "purity"}
    assert report["versions"]["torch"] == torch.__version__
    assert report["features"]["n_samples"] == 150
    assert set(report["seconds"]) == {"reconstruct", "contrast", "align", "total"}
    assert report["peak_memory_mib"] > 0
    assert (folder / "checkpoints" / "last.ckpt").exists()
    for name in ("losses", "measures", "confusion", "sizes", "confidence", "embedding", "phases"):
        assert (folder / "figures" / f"{name}.png").read_bytes()[:4] == b"\x89PNG"
    config = OmegaConf.load(folder / "config.yaml")
    assert config.seed == config.method.seed == config.data.seed == 3
    assert not list(folder.rglob("*.tmp*"))


def test_scores_are_printed_before_pictures_are_drawn(tiny_run, monkeypatch, capsys):
    printed = []
    monkeypatch.setattr("cmc.callbacks.figures.draw", lambda *given: printed.append(capsys.readouterr().out))
    tiny_run("max_phase_epochs=1", figures=True)
    (before,), after = printed, capsys.readouterr().out
    assert ("ACC" in before, "ACC" in after) == (True, False)
    assert ("pictures and all" in before, "pictures and all" in after) == (False, True)


def test_scores_are_those_of_the_assignments_that_were_written(tiny_run, tmp_path):
    report = tiny_run()
    written = rows(tmp_path / "run" / "assignments.csv")
    assert [int(row["index"]) for row in written] == list(range(150))
    clusters, labels = ([row[key] for row in written] for key in ("cluster", "label"))
    assert report["scores"]["nmi"] == pytest.approx(normalized_mutual_info_score(labels, clusters), abs=1e-9)
    assert report["scores"]["ari"] == pytest.approx(adjusted_rand_score(labels, clusters), abs=1e-9)
    assert all(1 / 3 <= float(row["confidence"]) <= 1 for row in written)
    assert 0 <= report["label_free"]["agreement"] <= 1
    embeddings = np.load(tmp_path / "run" / "embeddings.npy")
    assert embeddings.shape == (150, 4)
    assert np.isfinite(embeddings).all()


def test_the_history_has_every_term_of_every_epoch(tiny_run, tmp_path):
    report = tiny_run("evaluate_every=3")
    history = read_history(tmp_path / "run")
    assert [(int(row["epoch"]), row["phase"]) for row in history] == [
        (0, "reconstruct"),
        (1, "reconstruct"),
        (2, "contrast"),
        (3, "contrast"),
        (4, "align"),
        (5, "align"),
    ]
    for row in history:
        terms = {"reconstruction", "feature_contrast", "label_contrast", "imbalance", "alignment"}
        present = {name for name in terms if row[name]}
        assert present == {"reconstruct": {"reconstruction"}, "align": {"alignment"}}.get(
            row["phase"], terms - {"alignment"}
        )
        assert float(row["loss"]) == pytest.approx(sum(float(row[name]) for name in present))
    assert [int(row["epoch"]) + 1 for row in history if row["acc"]] == [3, 6], "every third, never in reconstruct"
    assert float(history[-1]["acc"]) == pytest.approx(report["scores"]["acc"])


@pytest.fixture
def files(tmp_path):
    """Write features with the given labels; return the override that names them."""

    def write(labels):
        rng = np.random.default_rng(0)
        truth = np.arange(90) % 3
        features = {name: truth[:, None] + 0.3 * rng.normal(size=(90, 4)) for name in ("a", "b")}
        np.savez(tmp_path / "x.npz", **features, **({} if labels is None else {"labels": labels}))
        return ["data=files", f"data.root={tmp_path / 'x.npz'}"]

    return write


@pytest.fixture
def small_run(composed, tmp_path):
    """A very small run on files, in a folder of its own."""

    def run(name, *overrides, method="cmmc"):
        folder = tmp_path / name
        folder.mkdir()
        small = [f"method={method}", *SMALL[method], "method.batch_size=40", "trainer.accelerator=cpu"]
        return train(composed(*small, "experiment=smoke", *overrides), str(folder)), folder

    return run


@pytest.mark.parametrize("method", ["cmmc", "dmim", "dmim_released"])
def test_labels_leave_every_assignment_bit_equal(files, small_run, method):
    """Trained with labels, with permuted labels and with none, a run assigns and embeds the same."""
    truth = np.arange(90) % 3
    outcomes = []
    for name, labels in (("true", truth), ("permuted", np.random.default_rng(1).permutation(truth)), ("none", None)):
        _, folder = small_run(name, *files(labels), "data.n_clusters=3", "callbacks.figures=null", method=method)
        table = [(row["index"], row["cluster"], row["confidence"]) for row in rows(folder / "assignments.csv")]
        outcomes.append((table, np.load(folder / "embeddings.npy").tobytes()))
    assert outcomes[0] == outcomes[1] == outcomes[2]


def test_without_labels_a_run_assigns_and_says_that_there_is_nothing_to_score(files, small_run, capsys):
    report, folder = small_run("run", *files(None), "data.n_clusters=4")
    assert report["scores"] is None
    columns = ["index", "cluster", "confidence", "confidence_calibrated", "margin", "cluster_a", "cluster_b"]
    assert list(rows(folder / "assignments.csv")[0]) == columns
    assert not (folder / "figures" / "confusion.png").exists()
    assert (folder / "figures" / "embedding.png").exists()
    assert "nothing to score" in capsys.readouterr().out


def test_a_holdout_is_scored_besides_and_never_trained_on(tiny_run, tmp_path):
    report = tiny_run("data.holdout=0.2")
    kept = [int(row["index"]) for row in rows(tmp_path / "run" / "assignments.csv")]
    held = [int(row["index"]) for row in rows(tmp_path / "run" / "assignments_holdout.csv")]
    assert (len(kept), len(held)) == (120, 30)
    assert sorted(kept + held) == list(range(150))
    assert report["features"]["n_samples"] == 120
    labels, clusters = zip(
        *((row["label"], row["cluster"]) for row in rows(tmp_path / "run" / "assignments_holdout.csv")), strict=True
    )
    assert report["holdout"]["nmi"] == pytest.approx(normalized_mutual_info_score(labels, clusters), abs=1e-9)


def test_held_out_samples_do_not_touch_the_others(files, small_run, tmp_path):
    """Whatever the held-out rows say, the rest is assigned and embedded bit for bit the same.

    They tell how far confidences are to be believed, and so the calibrated ones.
    """
    outcomes = []
    for name in ("a", "b"):
        overrides = files(np.arange(90) % 3)
        if name == "b":
            held = [int(row["index"]) for row in rows(tmp_path / "a" / "assignments_holdout.csv")]
            arrays = dict(np.load(tmp_path / "x.npz"))
            arrays["a"][held], arrays["b"][held] = 0.5, 0.5
            np.savez(tmp_path / "x.npz", **arrays)
        _, folder = small_run(name, *overrides, "data.holdout=0.3", "callbacks.figures=null")
        assigned = rows(folder / "assignments.csv")
        for row in assigned:
            del row["confidence_calibrated"]
        outcomes.append((assigned, (folder / "embeddings.npy").read_bytes()))
    assert outcomes[0] == outcomes[1]


def test_a_loss_that_is_no_number_stops_the_run(tiny_run):
    with pytest.raises(UserError, match=r"training: .* is (nan|inf|-inf) in reconstruct, epoch"):
        tiny_run("method.optimizer.lr=1e30")


def test_from_disk_or_from_memory_the_run_is_the_same(tiny_run, tmp_path):
    for name, in_memory in (("a", "true"), ("b", "false")):
        tiny_run(f"data.in_memory={in_memory}", folder=tmp_path / name)
    texts = [(tmp_path / name / "assignments.csv").read_bytes() for name in ("a", "b")]
    assert texts[0] == texts[1]


def test_the_same_seed_gives_the_same_run_and_another_seed_another(tiny_run, tmp_path):
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        tiny_run(f"seed={seed}", folder=tmp_path / name)
    a, b, c = (np.load(tmp_path / name / "embeddings.npy") for name in "abc")
    assert np.array_equal(a, b)
    assert not np.array_equal(a, c)


class CtrlC(Callback):
    """Press Ctrl-C during a step of the run."""

    def __init__(self, phase, step):
        self.phase, self.left = phase, step

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        if pl_module.phase.name == self.phase:
            self.left -= 1
            if self.left == 0:
                os.kill(os.getpid(), signal.SIGINT)


@pytest.mark.parametrize(
    ("method", "phase", "step"),
    [
        ("cmmc", "reconstruct", 1),
        ("cmmc", "reconstruct", 4),
        ("cmmc", "contrast", 2),
        ("cmmc", "contrast", 3),
        ("cmmc", "align", 1),
        ("cmmc", "align", 2),
        ("dmim", "train", 1),
        ("dmim", "train", 2),
        ("dmim", "finish", 1),
        ("dmim", "finish", 3),
        ("cmmc_stable", "reconstruct", 1),
        ("cmmc_stable", "contrast", 2),
        ("cmmc_stable", "align", 1),
        ("autoencoder", "reconstruct", 4),
        ("comvc_released", "train", 3),
        ("completer", "predict", 2),
        ("cvcl", "contrast", 1),
        ("sem_released", "contrast", 2),
        ("sdmvc", "embed", 2),
        ("mvcan", "learn", 2),
        ("divide", "walk", 2),
        ("gcfagg", "contrast", 2),
        ("rml", "train", 2),
    ],
)
def test_a_run_stopped_by_ctrl_c_resumes_to_the_same_result(
    tiny_run, composed, tmp_path, monkeypatch, method, phase, step
):
    tiny_run(method=method, folder=tmp_path / "whole")
    folder = tmp_path / "cut"
    handler = signal.getsignal(signal.SIGINT)
    monkeypatch.setattr(Results, "on_train_batch_start", CtrlC(phase, step).on_train_batch_start, raising=False)
    with pytest.raises(Interrupted, match=f"stopped in {phase}.*resume={folder}"):
        tiny_run(method=method, folder=folder)
    monkeypatch.undo()
    assert signal.getsignal(signal.SIGINT) is handler
    assert not (folder / "metrics.json").exists()
    assert all(row["loss"] for row in read_history(folder))

    train(composed(f"resume={folder}"), str(folder), [f"resume={folder}"])
    for name in ("assignments.csv", "embeddings.npy", "history.csv"):
        assert (folder / name).read_bytes() == (tmp_path / "whole" / name).read_bytes(), name


def test_a_second_ctrl_c_stops_at_once_and_leaves_the_checkpoint_before(tiny_run, composed, tmp_path, monkeypatch):
    tiny_run(folder=tmp_path / "whole")
    folder = tmp_path / "cut"

    def press_twice(self, trainer, pl_module, batch, batch_idx):
        if pl_module.phase.name == "align":
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(Results, "on_train_batch_start", press_twice, raising=False)
    handler = signal.getsignal(signal.SIGINT)
    with pytest.raises(Interrupted, match=f"stopped at once; .*resume={folder}"):
        tiny_run(folder=folder)
    assert signal.getsignal(signal.SIGINT) is handler
    monkeypatch.undo()
    train(composed(f"resume={folder}"), str(folder), [f"resume={folder}"])
    assert (folder / "embeddings.npy").read_bytes() == (tmp_path / "whole" / "embeddings.npy").read_bytes()


def test_ctrl_c_before_the_first_epoch_stops_at_once_and_leaves_the_signal_as_it_was(tiny_run, monkeypatch):
    handler = signal.getsignal(signal.SIGINT)
    monkeypatch.setattr(Results, "setup", lambda *arguments, **named: os.kill(os.getpid(), signal.SIGINT))
    with pytest.raises(Interrupted, match="stopped at once; start the same command again"):
        tiny_run()
    assert signal.getsignal(signal.SIGINT) is handler


def test_a_run_that_was_started_with_ctrl_c_ignored_ignores_it(tiny_run, tmp_path, monkeypatch):
    """As a script's shell starts ``command &``."""
    pressed = CtrlC("contrast", 2)
    monkeypatch.setattr(Results, "on_train_batch_start", pressed.on_train_batch_start, raising=False)
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        tiny_run(folder=tmp_path)
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)
    assert pressed.left <= 0
    assert (tmp_path / "metrics.json").exists()


def test_a_finished_run_resumes_to_itself_and_takes_no_other_settings(tiny_run, composed, tmp_path):
    tiny_run()
    folder = tmp_path / "run"
    before = (folder / "assignments.csv").read_bytes()
    train(composed(f"resume={folder}"), str(folder), [f"resume={folder}"])
    assert (folder / "assignments.csv").read_bytes() == before
    with pytest.raises(UserError, match=r"leave out method\.batch_size=3"):
        train(composed(f"resume={folder}"), str(folder), [f"resume={folder}", "method.batch_size=3"])


def test_of_two_checkpoints_cut_short_both_are_named(tiny_run, composed, tmp_path):
    tiny_run()
    folder = tmp_path / "run"
    for name in ("last", "previous"):
        path = folder / "checkpoints" / f"{name}.ckpt"
        path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(UserError, match=r"cannot be read, nor the one before; .*last\.ckpt: .*previous\.ckpt: "):
        train(composed(f"resume={folder}"), str(folder), [f"resume={folder}"])


@pytest.mark.parametrize("written", ["~{}", "{}=null"])
def test_callbacks_and_loggers_can_be_left_out(tiny_run, tmp_path, written):
    tiny_run(*(written.format(f"callbacks.{name}") for name in ("figures", "checkpoints")), "~logger.csv", figures=True)
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == [
        "assignments.csv",
        "clusters.csv",
        "config.yaml",
        "embeddings.npy",
        "metrics.json",
    ]


def test_a_batch_larger_than_the_data_becomes_the_data_with_one_line(tiny_run, caplog):
    with caplog.at_level("INFO"):
        tiny_run("method.batch_size=1000")
    assert len([r for r in caplog.records if "1000 is more than the 150 samples" in r.getMessage()]) == 1
