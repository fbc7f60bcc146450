"""Runs that end before their schedule: by a label-free measure, and by whatever else."""

import csv
import json

import pytest
from omegaconf import OmegaConf
from pytorch_lightning import Callback

from cmc.callbacks import Results
from cmc.errors import Interrupted, UserError
from cmc.inference.trained import load
from cmc.reporting.runs import find, read_run
from cmc.training.fit import train
from tests.methods.toy import Toy, ToyData, fit
from tests.training.test_fit import CtrlC

STOP = ["callbacks.stopping.measure=quality", "callbacks.stopping.patience=1", "evaluate_every=1"]
ONE = "method.phases.finish.epochs=0"  # one phase
LONG = ["max_phase_epochs=3", *STOP, "callbacks.stopping.min_delta=1"]  # which no growth exceeds: patience counts alone


def history(folder):
    with (folder / "history.csv").open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("method", ["cmmc", "dmim"])
def test_a_run_ends_where_its_measure_no_longer_grows_and_says_so(tiny_run, tmp_path, method):
    report = tiny_run(*LONG, "data.holdout=0.2", method=method)
    last = {"cmmc": "align", "dmim": "finish"}[method]
    ran = [row["phase"] for row in history(tmp_path / "run")]
    assert ran[-2:] == [last, last]
    assert ran.count(last) == 2, "the first evaluation sets the mark, the second does not exceed it"
    assert report["epochs"] == len(ran) == sum(report["phases"].values())
    assert report["phases"] == {name: ran.count(name) for name in report["phases"]}
    scheduled = 3 * len(report["phases"])
    first = float(history(tmp_path / "run")[-2]["quality"])
    assert report["stopped"] == {
        "measure": "quality",
        "best": pytest.approx(first),
        "best_epoch": len(ran) - 1,
        "scheduled_epochs": scheduled,
    }
    assert "quality chose without labels" in report["protocol"]
    assert read_run(tmp_path / "run").epochs == len(ran)


@pytest.mark.parametrize("measure", ["agreement_held_out", "quality"])
def test_samples_set_aside_stop_the_phase_that_does_not_train_on_them(tiny_run, tmp_path, measure):
    report = tiny_run(*LONG, ONE, f"callbacks.stopping.measure={measure}", method="dmim")
    assert report["stopped"]["measure"] == measure
    assert report["stopped"]["best"] == pytest.approx(float(history(tmp_path / "run")[0][measure]))


def test_a_run_that_stopped_ends_as_one_whose_schedule_ends_there(tiny_run, tmp_path):
    tiny_run(*LONG, folder=tmp_path / "stopped")
    tiny_run("max_phase_epochs=3", "method.phases.align.epochs=2", "evaluate_every=1", folder=tmp_path / "scheduled")
    for name in ("assignments.csv", "embeddings.npy", "history.csv"):
        assert (tmp_path / "stopped" / name).read_bytes() == (tmp_path / "scheduled" / name).read_bytes()


def test_assignments_are_settled_where_the_run_stopped(tiny_run, monkeypatch):
    from cmc.callbacks import evaluation
    from cmc.methods import DMIM

    settled, settle = [], DMIM.settle
    monkeypatch.setattr(evaluation, "measures", lambda *_: {"entropy": 0.0, "quality": 0.5})
    monkeypatch.setattr(
        DMIM, "settle", lambda self, batches: (settled.append(self.current_epoch), settle(self, batches))
    )
    assert tiny_run(*LONG, ONE, method="dmim")["epochs"] == 2
    assert settled == [1]


def test_a_measure_that_grows_ends_nothing(tiny_run, monkeypatch):
    from cmc.callbacks import evaluation

    told = iter(range(100))
    monkeypatch.setattr(evaluation, "measures", lambda *_: {"entropy": 0.0, "quality": next(told) / 100})
    report = tiny_run("max_phase_epochs=4", *STOP, ONE, method="dmim")
    assert (report["epochs"], "stopped" in report) == (4, False)
    assert report["protocol"] == "assignments of the last epoch; labels used for scoring alone"


def test_a_run_that_was_interrupted_stops_where_it_would_have(tiny_run, composed, tmp_path, monkeypatch):
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    tiny_run(*LONG, folder=whole)
    press = CtrlC("align", 2)
    monkeypatch.setattr(Results, "on_train_batch_start", press.on_train_batch_start, raising=False)
    with pytest.raises(Interrupted):
        tiny_run(*LONG, folder=cut)
    monkeypatch.undo()
    assert not (cut / "metrics.json").exists()
    train(composed(f"resume={cut}"), str(cut), [f"resume={cut}"])
    for name in ("assignments.csv", "embeddings.npy", "history.csv"):
        assert (cut / name).read_bytes() == (whole / name).read_bytes(), name
    stopped = [json.loads((folder / "metrics.json").read_text())["stopped"] for folder in (whole, cut)]
    assert stopped[0] == stopped[1]


def test_a_run_that_stopped_resumes_to_itself_and_has_its_model_twice(tiny_run, composed, tmp_path):
    tiny_run(*LONG, ONE, method="dmim")
    folder = tmp_path / "run"
    before = {name: (folder / name).read_bytes() for name in ("assignments.csv", "embeddings.npy", "history.csv")}
    report = train(composed(f"resume={folder}"), str(folder), [f"resume={folder}"])
    assert before == {name: (folder / name).read_bytes() for name in before}
    assert report["stopped"]["scheduled_epochs"] == 3
    (folder / "checkpoints" / "last.ckpt").write_bytes(b"damaged")
    assert load(folder).report["epochs"] == 2


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["callbacks.stopping.measure=acc"], r"'acc' given; it must be one of agreement, .* labels stop nothing"),
        ([*STOP, "evaluate_every=0"], "nothing is measured before the end; give evaluate_every=1"),
        ([*STOP, "callbacks.evaluation=null"], "nothing is measured before the end"),
        (["callbacks.stopping.measure=agreement_held_out", "evaluate_every=1"], r"or method\.phases\.finish\.epochs=0"),
        (STOP, r"finish, trains on the samples that method\.validation set aside"),
        (
            ["callbacks.stopping.measure=agreement_held_out", "evaluate_every=1", "method.validation=0"],
            r"no samples are held out; give data\.holdout=0\.2",
        ),
        (["callbacks.stopping.patience=0"], r"callbacks\.stopping\.patience: 0 given"),
    ],
)
def test_a_measure_that_would_never_be_taken_is_refused(tiny_run, tmp_path, given, said):
    with pytest.raises(UserError, match=said):
        tiny_run(*given, method="dmim")
    assert not (tmp_path / "run" / "metrics.json").exists()


def test_a_method_without_assignments_of_each_modality_can_be_stopped_by_the_silhouette(tmp_path):
    from cmc.callbacks import Evaluation, Stopping

    phases = {"second": {"epochs": 3}}
    for measure, fits in (("silhouette", True), ("quality", False)):
        data, around = ToyData(n_clusters=3), [Evaluation(1), Stopping(measure)]
        data.load()
        method = Toy(data.dims, 3, phases)
        if fits:
            fit(method, data, tmp_path, around)
        else:
            with pytest.raises(UserError, match="no assignment of each modality; give silhouette"):
                fit(method, data, tmp_path, around)


EARLY = "{_target_: pytorch_lightning.callbacks.EarlyStopping, monitor: loss, patience: 1, min_delta: 10}"
TIMER = "{_target_: pytorch_lightning.callbacks.Timer, duration: '00:00:00:01'}"


@pytest.mark.parametrize(
    ("callback", "said"),
    [(EARLY, r"callbacks\.mine: Lightning's EarlyStopping is not taken; callbacks\.stopping"), (TIMER, "resume=auto")],
)
def test_lightnings_own_ways_to_end_early_are_refused_before_anything_is_written(tiny_run, tmp_path, callback, said):
    with pytest.raises(UserError, match=said):
        tiny_run(f"+callbacks.mine={callback}")
    assert list((tmp_path / "run").iterdir()) == []


class Ends(Callback):
    """Ends a run after its second epoch."""

    def on_train_epoch_end(self, trainer, pl_module):
        trainer.should_stop = trainer.current_epoch == 1


def test_a_run_that_something_else_ends_is_not_finished(tiny_run, tmp_path, monkeypatch):
    monkeypatch.setattr("cmc.callbacks.progress.Progress.on_train_epoch_end", Ends.on_train_epoch_end)
    with pytest.raises(UserError, match=r"ended after epoch 2 of 6, and not by callbacks\.stopping; .* not finished"):
        tiny_run()
    folder = tmp_path / "run"
    assert not (folder / "metrics.json").exists()
    assert not (folder / "assignments.csv").exists()
    with pytest.raises(UserError, match="the run has not finished"):
        read_run(find([folder])[0])


def test_lightnings_environment_variables_shorten_no_run(tiny_run, tmp_path, monkeypatch):
    for name, value in (("FAST_DEV_RUN", "1"), ("LIMIT_TRAIN_BATCHES", "1"), ("MAX_STEPS", "1")):
        monkeypatch.setenv(f"PL_TRAINER_{name}", value)
    report = tiny_run()
    assert report["epochs"] == 6
    assert "fast_dev_run" not in OmegaConf.load(tmp_path / "run" / "config.yaml").trainer
