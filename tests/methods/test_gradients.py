"""What training does about numbers that are none, and about gradients that are too long."""

import copy
import math
import os
import signal

import pytest
import torch
from pytorch_lightning import Callback, Trainer
from pytorch_lightning.plugins.precision import MixedPrecision

from cmc.callbacks import Checkpoints, Evaluation
from cmc.errors import Diverged, UserError
from cmc.methods.gradients import clip, drop_vanishing, not_finite
from cmc.training.trainer import LOOP
from tests.methods.toy import Toy, ToyData, fit

DIMS = {"a": 4, "b": 3}
PHASES = {"first": {"epochs": 2}, "second": {"epochs": 3, "batch_size": "full"}}


def toy(phases=PHASES, seed=0, **settings):
    torch.manual_seed(seed)
    return Toy(DIMS, 3, phases, **settings)


class Poison(Callback):
    """Make a number of the run another one at a step of an epoch, counted from 0."""

    def __init__(self, epoch, step, spoil, end=False):
        self.at, self.spoil, self.end = (epoch, step), spoil, end

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        if (trainer.current_epoch, batch_idx) == self.at:
            self.spoil(pl_module)


def spoil_loss(value, name="own"):
    def spoil(module):
        losses = type(module).losses.__get__(module)
        module.losses = lambda batch: (
            setattr(module, "losses", losses),
            {key: x * value if key == name else x for key, x in losses(batch).items()},
        )[1]

    return spoil


def spoil_gradient(module):
    """The losses stay as they are; the step in hand makes a parameter NaN."""
    parameter = module.heads[1].weight
    handle = parameter.register_hook(lambda gradient: (handle.remove(), gradient * math.nan)[1])


@pytest.mark.parametrize(("value", "said"), [(math.nan, "nan"), (math.inf, "(inf|nan)")])
@pytest.mark.parametrize(
    ("epoch", "step", "where"), [(0, 2, "first, epoch 1 of 2, step 3"), (1, 3, "first, epoch 2 of 2, step 4"),
                                 (3, 0, "second, epoch 2 of 3, step 1")]
)  # fmt: skip
def test_a_loss_that_is_no_number_is_named_with_term_phase_epoch_and_step(tmp_path, value, said, epoch, step, where):
    spoiled = Poison(epoch, step, spoil_loss(value))
    with pytest.raises(Diverged, match=rf"training: own is {said} in {where}"):
        fit(toy(batch_size=8, optimizer=lambda p: torch.optim.SGD(p, lr=0.0)), ToyData(), tmp_path, [spoiled])


def test_parameters_that_turn_into_none_stop_the_run_at_the_epochs_end_though_its_losses_were_finite(tmp_path):
    said = r"the parameters heads\.1\.weight hold nan in second, epoch 1 of 3, though every loss was finite"
    with pytest.raises(Diverged, match=said):
        fit(toy(), ToyData(), tmp_path, [Poison(2, 0, spoil_gradient), Evaluation(1)])


def saved(folder):
    """All checkpoints that are there."""
    found = [torch.load(path, weights_only=True) for path in (folder / "checkpoints").iterdir()]
    assert found
    return found


def is_finite(tree):
    if isinstance(tree, dict):
        return all(map(is_finite, tree.values()))
    if isinstance(tree, list | tuple):
        return all(map(is_finite, tree))
    return not isinstance(tree, torch.Tensor | float) or bool(torch.as_tensor(tree).isfinite().all())


@pytest.mark.parametrize("spoil", [spoil_loss(math.nan), spoil_gradient])
@pytest.mark.parametrize(("epoch", "step", "before"), [(1, 0, 4), (1, 2, 6), (1, 3, 7), (2, 0, 8), (4, 0, 10)])
def test_the_checkpoint_on_disk_is_never_one_of_a_poisoned_run(tmp_path, spoil, epoch, step, before):
    """Written after every step: that of the step before stands, and every number in it is one."""
    with pytest.raises(Diverged):
        fit(toy(batch_size=8), ToyData(), tmp_path, [Poison(epoch, step, spoil), Checkpoints(minutes=0)])
    assert max(checkpoint["global_step"] for checkpoint in saved(tmp_path)) == before
    for checkpoint in saved(tmp_path):
        assert is_finite([checkpoint["state_dict"], checkpoint["optimizer_states"], checkpoint["means"]])


@pytest.mark.parametrize("spoil", [spoil_loss(math.nan), spoil_gradient])
def test_a_signal_in_mid_epoch_does_not_keep_a_poisoned_step(tmp_path, spoil):
    class CtrlC(Callback):
        def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
            if (trainer.current_epoch, batch_idx) == (1, 1):
                os.kill(os.getpid(), signal.SIGINT)

    method = toy({"first": {"epochs": 1}, "second": {"epochs": 2}}, batch_size=8)
    with pytest.raises(Diverged):
        fit(method, ToyData(), tmp_path, [Poison(1, 1, spoil), CtrlC(), Checkpoints()])
    assert [checkpoint["global_step"] for checkpoint in saved(tmp_path)] == [4]
    assert is_finite(saved(tmp_path)[0]["state_dict"])


def test_what_the_optimiser_remembers_is_checked_too(tmp_path):
    """Gradients whose squares float32 cannot hold leave finite parameters that never move again."""
    with pytest.raises(Diverged, match=r"the optimiser's exp_avg_sq holds inf.* in first, epoch 2 of 2"):
        fit(toy(), ToyData(), tmp_path, [Poison(0, 0, spoil_loss(1e25)), Checkpoints()])


def test_not_finite_names_the_first_and_takes_large_numbers_for_numbers():
    good, large = torch.ones(3), torch.full((3,), 3e38)
    assert not_finite([]) is None
    assert not_finite([("a", good), ("b", large)]) is None
    name, value = not_finite([("a", large), ("b", torch.tensor([1.0, -math.inf])), ("c", good * math.nan)])
    assert (name, value) == ("b", -math.inf)


# clipping


def naive(longest, chunk):
    """The toy's training written out, with PyTorch's own clipping: parameters, and the largest norm met."""
    method, data = toy(), ToyData()
    data.load()
    (batch,) = data.pass_over()
    optimizer, norms = torch.optim.Adam(method.parameters(), lr=0.05), []
    for _ in range(5):
        method.refresh("", 0, [batch])
        optimizer.zero_grad()
        for part in batch.chunks(chunk):
            (sum(method.losses(part).values()) * part.size / batch.size).backward()
        norms.append(torch.nn.utils.clip_grad_norm_(method.parameters(), longest).item())
        optimizer.step()
    return [p.detach() for p in method.parameters()], norms


@pytest.mark.parametrize("chunk", [None, 7])
@pytest.mark.parametrize("longest", [0.05, 0.5, 1e9])
def test_clipping_is_that_of_pytorch_on_a_naive_loop(tmp_path, longest, chunk):
    phases = {"second": {"epochs": 5, "chunk_size": chunk or "full"}}
    method = toy(phases, gradient_clip=longest)
    fit(method, ToyData(), tmp_path)
    expected, norms = naive(longest, chunk)
    assert (max(norms) > longest) == (longest < 1e9)
    for mine, theirs in zip(method.parameters(), expected, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-5, atol=1e-7)
    unclipped, _ = naive(1e9, chunk)
    changed = max((a - b).abs().max() for a, b in zip(expected, unclipped, strict=True))
    assert (changed > 1e-4) == (longest < 1e9)


@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.parametrize("overflow", [False, True])
def test_scaled_gradients_are_clipped_as_they_will_be_without_the_scale(tmp_path, fused, overflow):
    """Under a GradScaler, as 16-mixed has it: SGD's parameters move by as much as without; an overflow skips the step.

    One layer in double precision, so that the arithmetic is that of float32 training and half precision adds nothing.
    """
    ends = []
    for scale in (None, 2.0**100 if overflow else 2.0**12):
        method = toy(
            {"second": {"epochs": 2}}, gradient_clip=0.1, optimizer=lambda p: torch.optim.SGD(p, lr=0.1, fused=fused)
        )
        before = copy.deepcopy(method.state_dict())
        precision = []
        if scale is not None:
            scaler = torch.amp.GradScaler("cpu", init_scale=scale if not overflow else 3e38, growth_interval=1000)
            precision = [Plain("16-mixed", "cpu", scaler)]
        trainer = Trainer(
            accelerator="cpu", max_epochs=2, logger=False, enable_checkpointing=False, plugins=precision,
            default_root_dir=str(tmp_path), **LOOP,
        )  # fmt: skip
        data = ToyData()
        data.load()
        trainer.fit(method, datamodule=data)
        ends.append({name: x - before[name] for name, x in method.state_dict().items() if "heads" in name})
    plain, scaled = ends
    for name, moved in scaled.items():
        if overflow:
            assert not moved.any()
        else:
            torch.testing.assert_close(moved, plain[name], rtol=1e-4, atol=1e-7)
            assert moved.any()


class Plain(MixedPrecision):
    """Lightning's 16-mixed without the casts: its scaling alone."""

    def forward_context(self):
        return torch.autocast("cpu", enabled=False)


def test_clip_leaves_parameters_without_a_gradient_alone():
    used, unused = torch.nn.Parameter(torch.ones(4)), torch.nn.Parameter(torch.ones(2))
    used.grad = torch.full((4,), 3.0)
    clip([used, unused], 1.0)
    torch.testing.assert_close(used.grad.norm(), torch.tensor(1.0), rtol=1e-5, atol=0)
    assert unused.grad is None


@pytest.mark.parametrize("longest", [0, -1.0, math.nan])
def test_a_bound_that_is_none_is_refused(longest):
    with pytest.raises(UserError, match=r"method\.gradient_clip: .* given; it must be a number above 0, or null"):
        toy(gradient_clip=longest)


def test_moments_are_dropped_before_they_become_denormal_and_weights_go_where_they_went():
    """Inputs that are always 0 leave moments that shrink for ever; against the same steps without dropping any."""
    torch.manual_seed(0)
    batches = [torch.randn(16, 5) * (torch.tensor([1.0, 1, 0, 0, 1]) if step > 0 else 1.0) for step in range(1100)]
    ends = []
    for tidy in (True, False):
        torch.manual_seed(1)
        layer = torch.nn.Linear(5, 3)
        optimizer = torch.optim.Adam(layer.parameters(), lr=1e-3, fused=True)
        for step, x in enumerate(batches, start=1):
            optimizer.zero_grad()
            layer(x).square().mean().backward()
            optimizer.step()
            if tidy and step % 100 == 0:
                drop_vanishing(optimizer)
        mean = optimizer.state[layer.weight]["exp_avg"]
        denormal = (mean != 0) & (mean.abs() < torch.finfo(torch.float32).tiny)
        ends.append((layer.weight.detach().clone(), denormal.any().item()))
    assert [denormal for _, denormal in ends] == [False, True]
    assert torch.equal(ends[0][0], ends[1][0])
