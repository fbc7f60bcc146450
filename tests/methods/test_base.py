"""The loop: phases, chunks, means, refreshes, checkpoints in mid-epoch."""

import pytest
import torch
from pytorch_lightning import Callback

from cmc.data.loader import Batch
from cmc.errors import UserError
from tests.methods.toy import Toy, ToyData, fit

PHASES = {"first": {"epochs": 2}, "second": {"epochs": 3, "batch_size": "full"}}
DIMS = {"a": 4, "b": 3}


def toy(phases=PHASES, seed=0, **settings):
    torch.manual_seed(seed)
    return Toy(DIMS, 3, phases, **settings)


class Recorder(Callback):
    """What each step of a run saw."""

    def __init__(self):
        self.steps, self.records = [], []

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        self.steps.append((pl_module.phase.name, trainer.current_epoch, batch.index.tolist()))

    def on_train_epoch_end(self, trainer, pl_module):
        self.records.append(pl_module.record())


def test_one_fit_walks_through_the_phases_with_their_batch_sizes(tmp_path):
    recorder = Recorder()
    fit(toy(batch_size=8), ToyData(), tmp_path, [recorder])
    sizes = {}
    for phase, epoch, index in recorder.steps:
        sizes.setdefault((phase, epoch), []).append(len(index))
    assert sizes == {
        ("first", 0): [8, 8, 8, 6],
        ("first", 1): [8, 8, 8, 6],
        ("second", 2): [30],
        ("second", 3): [30],
        ("second", 4): [30],
    }


def test_drop_last_leaves_the_incomplete_batch_out(tmp_path):
    recorder = Recorder()
    fit(toy({"first": {"epochs": 1}}, batch_size=8, drop_last=True), ToyData(), tmp_path, [recorder])
    assert [len(index) for _, _, index in recorder.steps] == [8, 8, 8]


def test_refresh_comes_before_every_epoch_in_evaluation_mode(tmp_path):
    method = toy()
    fit(method, ToyData(), tmp_path)
    assert [(phase, epoch) for phase, epoch, _ in method.refreshed] == [
        ("first", 0),
        ("first", 1),
        ("second", 0),
        ("second", 1),
        ("second", 2),
    ]
    assert not any(training for *_, training in method.refreshed)


def test_the_record_is_the_mean_over_samples_not_over_batches(tmp_path):
    """With a learning rate of 0 the epoch's mean is the loss of the whole data at once, in batches of any size."""
    recorder = Recorder()
    data = ToyData()
    still = toy({"first": {"epochs": 1}}, batch_size=8, optimizer=lambda p: torch.optim.SGD(p, lr=0.0))
    fit(still, data, tmp_path, [recorder])
    (everything,) = data.pass_over()
    expected = {name: value.item() for name, value in still.losses(everything).items()}
    assert recorder.records[0] == pytest.approx({"loss": sum(expected.values()), **expected}, rel=1e-5)


def test_the_gradient_of_a_chunked_batch_is_that_of_the_whole(tmp_path):
    results = []
    for chunk in ("full", 7):
        method = toy({"second": {"epochs": 4, "batch_size": "full", "chunk_size": chunk}})
        fit(method, ToyData(), tmp_path)
        results.append([p.detach().clone() for p in method.parameters()])
    for whole, chunked in zip(*results, strict=True):
        torch.testing.assert_close(whole, chunked, rtol=1e-4, atol=1e-6)


def test_chunks_are_refused_where_the_loss_is_one_of_the_whole_batch():
    with pytest.raises(UserError, match=r"method\.phases\.first\.chunk_size: 5 given"):
        toy({"first": {"epochs": 1, "chunk_size": 5}})


def test_one_modality_is_refused():
    with pytest.raises(UserError, match="at least 2"):
        Toy({"a": 4}, 3, PHASES)


class StopAndSave(Callback):
    """Write a checkpoint after a step and end the run, as Ctrl-C does."""

    class Stopped(Exception):
        pass

    def __init__(self, path, after):
        self.path, self.left = path, after

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        self.left -= 1
        if self.left == 0:
            trainer.save_checkpoint(self.path)
            raise self.Stopped


@pytest.mark.parametrize("after", [1, 2, 5, 6])
def test_a_run_cut_in_mid_epoch_resumes_bit_for_bit(tmp_path, after):
    """With noise drawn in every step, with several batches an epoch, and with a buffer sized by the data."""
    phases = {"first": {"epochs": 2}, "second": {"epochs": 2, "batch_size": 11}}
    settings = {"batch_size": 8, "noise": 0.5}
    whole, straight = toy(phases, **settings), Recorder()
    fit(whole, ToyData(), tmp_path, [straight])

    path, before, behind = tmp_path / "cut.ckpt", Recorder(), Recorder()
    with pytest.raises(StopAndSave.Stopped):
        fit(toy(phases, **settings), ToyData(), tmp_path, [before, StopAndSave(path, after)])
    torch.manual_seed(99)
    resumed = toy(phases, seed=5, **settings)
    fit(resumed, ToyData(), tmp_path, [behind], ckpt_path=path)

    assert before.steps + behind.steps == straight.steps
    assert behind.records == straight.records[-len(behind.records) :]
    for name, value in whole.state_dict().items():
        assert torch.equal(resumed.state_dict()[name], value), name


def test_other_data_are_refused_on_resume(tmp_path):
    fit(toy(), ToyData(), tmp_path).save_checkpoint(tmp_path / "a.ckpt")
    with pytest.raises(UserError, match="other data"):
        fit(toy(), ToyData(n=33), tmp_path, ckpt_path=tmp_path / "a.ckpt")


def test_evaluating_gives_the_mode_back():
    method = toy()
    batch = Batch((torch.randn(2, 4), torch.randn(2, 3)), torch.arange(2))
    with method.evaluating():
        assert not method.training
        assert not method.assign(batch).requires_grad
    assert method.training


def test_a_checkpoint_of_other_networks_is_refused():
    torch.manual_seed(0)
    method = Toy({"a": 4, "b": 3}, 3, {"second": {"epochs": 1}})
    state = {**method.state_dict(), "tails.0.weight": torch.zeros(2)}
    with pytest.raises(
        UserError, match=r"resume: .* another version of Toy \(tails.0.weight is in one of them alone\)"
    ):
        method.on_load_checkpoint({"state_dict": state})
