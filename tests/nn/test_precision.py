"""Which precision a run trains in, and that objectives stay out of it."""

from __future__ import annotations

import pytest
import torch

from cmc.data.loader import Batch
from cmc.methods.cmmc import CMMC
from cmc.methods.dmim import DMIM
from cmc.nn import precision
from cmc.nn.autoencoder import BatchedLinear, SeparateLinear
from cmc.training.fit import fit

CPU, GPU = torch.device("cpu"), torch.device("cuda", 0)


@pytest.mark.parametrize(("amx", "expected"), [(True, "bf16-mixed"), (False, "32-true")])
def test_auto_follows_what_the_processor_can(monkeypatch, amx, expected):
    monkeypatch.setattr(precision, "_has_amx", lambda: amx)
    assert precision.resolve("auto", CPU) == expected
    assert precision.resolve("auto", CPU, trained=False) == "32-true"
    assert precision.resolve("16-mixed", CPU) == "16-mixed"


@pytest.mark.parametrize(
    ("capability", "expected"), [((7, 5), "32-true"), ((8, 0), "bf16-mixed"), ((9, 0), "bf16-mixed")]
)
def test_auto_follows_what_the_gpu_can(monkeypatch, capability, expected):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    assert precision.resolve("auto", GPU) == expected


def test_the_resolved_precision_is_saved_and_kept_by_a_resumed_run(monkeypatch, tiny_run, tmp_path):
    monkeypatch.setattr(precision, "_has_amx", lambda: True)
    assert tiny_run("trainer.precision=auto")["precision"] == "bf16-mixed"
    assert "precision: bf16-mixed" in (tmp_path / "run" / "config.yaml").read_text()
    monkeypatch.setattr(precision, "_has_amx", lambda: False)
    assert tiny_run(f"resume={tmp_path / 'run'}")["precision"] == "bf16-mixed"


def test_what_is_not_trained_by_gradients_is_computed_in_float32(monkeypatch, composed, tmp_path):
    monkeypatch.setattr(precision, "_has_amx", lambda: True)
    config = composed("method=kmeans", "data=synthetic", "data.n_samples=60", "trainer.accelerator=cpu")
    assert config.trainer.precision == "auto"
    assert fit(config, str(tmp_path))["precision"] == "32-true"


def cmmc():
    return CMMC({"a": 12, "b": 9}, 5, {"contrast": {"epochs": 1}}, torch.optim.Adam, hidden=[16], latent_dim=8)


def dmim():
    method = DMIM(
        {"a": 12, "b": 9}, 5, {"train": {"epochs": 1}}, torch.optim.Adam, width=8, restarts=1, candidates={"plain": {}}
    )
    method.pseudo = torch.randint(0, 5, (1, 2, 64)).short()
    return method


@pytest.mark.parametrize("build", [cmmc, dmim])
def test_objectives_of_mixed_networks_are_computed_in_float32(build):
    """From the same outputs, rounded as bf16 products are, the terms are those without mixed precision."""
    torch.manual_seed(0)
    method = build()
    batch = Batch((torch.randn(64, 12), torch.randn(64, 9)), torch.arange(64))
    kept = {}

    def keep(module, inputs, output):
        kept.setdefault(module, []).append(output)

    def give(module, inputs, output):
        taken = kept[module].pop(0)
        return [x.float() for x in taken] if isinstance(taken, list) else taken.float()

    kinds = (torch.nn.Linear, BatchedLinear, SeparateLinear)
    layers = [module for module in method.modules() if isinstance(module, kinds)]
    hooks = [layer.register_forward_hook(keep) for layer in layers]
    torch.manual_seed(1)
    with torch.autocast("cpu", torch.bfloat16):
        mixed = method.losses(batch)
    assert set(kept) == set(layers)
    assert all(x.dtype == torch.bfloat16 for outputs in kept.values() for output in outputs for x in output)
    for hook in hooks:
        hook.remove()
    for layer in layers:
        layer.register_forward_hook(give)
    torch.manual_seed(1)
    exact = method.losses(batch)
    assert {value.dtype for value in mixed.values()} == {torch.float32}
    for name, value in mixed.items():
        torch.testing.assert_close(value, exact[name])
