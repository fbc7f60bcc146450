"""Numbers that are none, in whole runs: what the user reads, what is left on disk, and how a run goes on."""

import math

import pytest
import torch
from omegaconf import OmegaConf
from pytorch_lightning import Callback

from cmc import run as command
from cmc.errors import Diverged, UserError
from cmc.methods.cmmc import CMMC
from cmc.runs.history import read_history
from cmc.training.fit import train
from tests.conftest import SMALL, TINY
from tests.distributed.test_collectives import port, processes  # noqa: F401
from tests.methods.toy import Toy, ToyData, fit

BASELINE = ("method=kmeans", "data=synthetic", "data.n_samples=50", "data.n_clusters=3", "~callbacks.figures")


@pytest.fixture
def poisoned(monkeypatch):
    """Make the losses of a method NaN from an epoch of the run on, counted from 0."""

    def spoil(kind, epoch):
        losses = kind.losses

        def bad(self, batch):
            terms = losses(self, batch)
            return {name: x * math.nan for name, x in terms.items()} if self.current_epoch >= epoch else terms

        monkeypatch.setattr(kind, "losses", bad)
        return monkeypatch

    return spoil


def test_the_message_names_the_last_good_checkpoint_and_a_way_to_go_on_that_works(
    tiny_run, composed, tmp_path, poisoned
):
    folder = tmp_path / "run"
    patch = poisoned(CMMC, 3)
    with pytest.raises(Diverged) as caught:
        tiny_run("callbacks.checkpoints.minutes=0")
    resume = f"python -m cmc.run resume={folder} method.gradient_clip=1"
    assert str(caught.value) == (
        f"training: reconstruction is nan in contrast, epoch 2 of 2, step 1; the last good checkpoint, "
        f"{folder}/checkpoints/last.ckpt, is of contrast, epoch 1: go on from there with {resume}, or start again with "
        "another data.scaling, or with a smaller method.optimizer.lr or method.gradient_clip=1"
    )
    assert not (folder / "metrics.json").exists()
    assert len(read_history(folder)) == 3, "the poisoned epoch is not in the history"
    patch.undo()

    words = resume.split()[3:]
    report = train(composed(*words), str(folder), words)
    assert report["scores"]["acc"] > 0
    config = OmegaConf.load(folder / "config.yaml")
    assert config.method.gradient_clip == 1
    assert config.resumed_with == ["method.gradient_clip=1"], "the run did not begin so"


@pytest.mark.parametrize("longest", ["1e-9", "1"])
def test_a_clip_on_resuming_bounds_the_steps_that_follow(tiny_run, composed, tmp_path, poisoned, longest):
    """With a bound of almost nothing SGD stands still from the checkpoint on."""
    folder = tmp_path / "run"
    sgd = ["method.optimizer._target_=torch.optim.SGD", "method.optimizer.lr=0.1"]
    patch = poisoned(CMMC, 3)
    with pytest.raises(Diverged):
        tiny_run(*sgd, "callbacks.checkpoints.minutes=0", folder=folder)
    patch.undo()
    before = torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
    words = [f"resume={folder}", f"method.gradient_clip={longest}"]
    train(composed(*words), str(folder), words)
    after = torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
    made = ("pseudo_labels", "names")  # anew, of the same parameters
    still = all(torch.allclose(after[name], x, atol=1e-7) for name, x in before.items() if name not in made)
    assert still == (longest == "1e-9")


def test_without_a_checkpoint_the_message_says_so(tiny_run):
    with pytest.raises(
        Diverged, match=r"; no checkpoint was written before; start again with another data\.scaling, or"
    ):
        tiny_run("method.optimizer.lr=1e30")


def test_a_baseline_is_not_told_of_gradients(composed, tmp_path, monkeypatch):
    from cmc.methods.baselines.sklearn import KMeans

    fit = KMeans.fit
    monkeypatch.setattr(KMeans, "fit", lambda self, x: fit(self, x) * math.nan)
    with pytest.raises(Diverged, match=r"loss is nan in fit, epoch 1 of 1; no checkpoint .* another data\.scaling$"):
        train(composed(*BASELINE), str(tmp_path))


def test_a_baseline_takes_no_clip_on_resuming(composed, tmp_path):
    train(composed(*BASELINE), str(tmp_path))
    words = [f"resume={tmp_path}", "method.gradient_clip=1"]
    with pytest.raises(UserError, match=r"method\.gradient_clip: 1 given, but the method of this run has no gradients"):
        train(composed(*words), str(tmp_path), words)


@pytest.mark.parametrize("method", ["cmmc", "dmim"])
def test_the_command_ends_with_one_line_and_status_2(commanded, method):
    words = [f"method={method}", *SMALL[method], *TINY, "~callbacks.figures", "evaluate_every=1"]
    status, _, line = commanded(command, *words, "method.optimizer.lr=1e30", "hydra.run.dir=run")
    assert status == 2
    assert line.startswith("training: ")
    assert "; no checkpoint was written before; start again with" in line


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("trainer.gradient_clip_val=1", "trainer.gradient_clip_val: is not taken; method.gradient_clip bounds"),
        ("+trainer.gradient_clip_val=1", "trainer.gradient_clip_val: is not taken; method.gradient_clip bounds"),
        ("++trainer.gradient_clip_algorithm=norm", "trainer.gradient_clip_algorithm: is not taken; method.gradient"),
        ("method.gradient_clip=-1", "method.gradient_clip: -1 given; it must be a number above 0, or null"),
        ("method.gradient_clip=norm", "method.gradient_clip: 'norm' given; it must be a number above 0, or null"),
        ("method.gradient_clip=true", "method.gradient_clip: True given; it must be a number above 0, or null"),
        ("method.gradient_clip=inf", "method.gradient_clip: inf given; it must be a number above 0, or null"),
    ],
)
def test_a_wrong_way_to_clip_is_answered(commanded, word, said):
    status, _, line = commanded(command, word, "hydra.run.dir=run")
    assert (status, line[: len(said)]) == (2, said)


TWO = """
import os, sys
import torch
from pytorch_lightning import Trainer
from cmc.callbacks import Checkpoints
from cmc.errors import Diverged
from cmc.distributed.strategy import Processes
from cmc.training.trainer import LOOP
from tests.integration.test_numbers import Poison, clipped

method, data = clipped()
trainer = Trainer(accelerator="cpu", devices=2, max_epochs=4, logger=False, callbacks=[Poison(), Checkpoints(0)],
    strategy=Processes(process_group_backend="gloo"), default_root_dir=sys.argv[1], **LOOP)
try:
    trainer.fit(method, datamodule=data, weights_only=True)
except Diverged as error:
    torch.save(str(error), f"{sys.argv[2]}-{trainer.global_rank}.pt")
os._exit(0)
"""


def clipped(n_epochs=4):
    """The toy on data that two processes share unevenly, in chunks, with a bound that always holds."""
    torch.manual_seed(0)
    phases = {"second": {"epochs": n_epochs, "chunk_size": 7}}
    method = Toy({"a": 4, "b": 3}, 3, phases, lambda p: torch.optim.SGD(p, lr=0.5), gradient_clip=0.05)
    method.refresh = lambda phase, epoch, batches: setattr(method, "targets", torch.arange(31) % 3)
    data = ToyData(n=31)
    data.load()
    return method, data


class Poison(Callback):
    """The losses of the second process alone are NaN in the third epoch."""

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        if trainer.current_epoch == 2 and trainer.global_rank == 1:
            losses = pl_module.losses
            pl_module.losses = lambda batch: {name: x * math.nan for name, x in losses(batch).items()}


def test_two_processes_clip_as_one_and_stop_together_when_one_meets_a_nan(tmp_path, port):  # noqa: F811
    processes(TWO, (tmp_path / "run", tmp_path / "line"), 2, port)
    lines = [torch.load(tmp_path / f"line-{rank}.pt") for rank in range(2)]
    assert lines == ["training: own is nan in second, epoch 3 of 4, step 1"] * 2
    (checkpoint,) = [torch.load(path, weights_only=True) for path in (tmp_path / "run" / "checkpoints").glob("last*")]
    assert checkpoint["epoch"] == 1

    method, data = clipped(n_epochs=2)
    fit(method, data, tmp_path)
    for name, x in method.state_dict().items():
        torch.testing.assert_close(checkpoint["state_dict"][name], x, rtol=1e-5, atol=1e-7)
