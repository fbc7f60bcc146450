"""Which precision a run trains in, and that objectives stay out of it."""

from __future__ import annotations

import re
from functools import partial

import pytest
import torch

from cmc.data.loader import Batch
from cmc.methods.cmmc import CMMC
from cmc.methods.dmim import DMIM
from cmc.nn import precision
from cmc.nn.autoencoder import BatchedLinear, SeparateLinear
from cmc.nn.work import Product
from cmc.training import hardware
from cmc.training.fit import fit

CPU, GPU = torch.device("cpu"), torch.device("cuda", 0)


WIDE = [Product(256, 784, 500, 2), Product(256, 500, 500, 2), Product(256, 500, 2000, 2), Product(256, 2000, 512, 2)]
NARROW = [Product(20_000, 100, 100, 8)]


@pytest.fixture
def processor(tmp_path, monkeypatch):
    """Let the processor have these flags; returns the file that says so."""

    def make(*flags):
        path = tmp_path / "cpuinfo"
        path.write_text(f"model name\t: amx_bf16 avx512_bf16\nflags\t\t: fpu {' '.join(flags)} rdpid\nbugs\t\t:\n" * 2)
        monkeypatch.setattr(hardware, "resolve", partial(precision.resolve, cpuinfo=path))
        return path

    return make


@pytest.mark.parametrize(
    ("flags", "step", "expected"),
    [
        ("amx_bf16 avx512_bf16", NARROW, "bf16-mixed"),
        ("amx_bf16", [], "bf16-mixed"),
        ("avx512_bf16", WIDE, "bf16-mixed"),
        ("avx512_bf16", [Product(256, 256, 256)], "32-true"),
        ("avx512_bf16", [Product(1024, 1024, 1024)], "bf16-mixed"),
        ("avx512_bf16", NARROW, "32-true"),
        ("avx512_bf16", [], "32-true"),
        ("avx512_bf16", [Product(512, 512, 512), Product(512, 512, 128, 5)], "32-true"),
        ("avx512_bf16", [Product(512, 512, 512), Product(512, 512, 128, 3)], "bf16-mixed"),
        ("avx2 avx512f avx512_bf16x", WIDE, "32-true"),
    ],
)
def test_auto_follows_what_the_processor_can_and_the_size_of_its_products(processor, flags, step, expected):
    path = processor(*flags.split())
    assert precision.resolve("auto", CPU, True, step, path).value == expected
    assert precision.resolve("auto", CPU, False, step, path).value == "32-true"
    assert precision.resolve("16-mixed", CPU, True, step, path).value == "16-mixed"


def test_without_a_file_that_says_what_the_processor_can_it_is_float32(tmp_path):
    assert precision.resolve("auto", CPU, True, WIDE, tmp_path / "none").value == "32-true"


@pytest.mark.parametrize(
    ("capability", "expected"), [((7, 5), "32-true"), ((8, 0), "bf16-mixed"), ((9, 0), "bf16-mixed")]
)
def test_auto_follows_what_the_gpu_can(monkeypatch, capability, expected):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    assert precision.resolve("auto", GPU).value == expected


def test_the_resolved_precision_is_told_saved_and_kept_by_a_resumed_run(processor, tiny_run, tmp_path, caplog):
    caplog.set_level("INFO", "cmc")
    processor("amx_bf16")
    assert tiny_run("trainer.precision=auto")["precision"] == "bf16-mixed"
    assert "precision: bf16-mixed; the processor has AMX" in caplog.messages
    assert "precision: bf16-mixed" in (tmp_path / "run" / "config.yaml").read_text()
    processor("avx2")
    assert tiny_run(f"resume={tmp_path / 'run'}")["precision"] == "bf16-mixed"


@pytest.mark.parametrize(("hidden", "expected"), [("[512,512]", "bf16-mixed"), ("[16]", "32-true")])
def test_the_widths_of_the_method_decide_where_small_products_do_not_gain(
    processor, tiny_run, caplog, hidden, expected
):
    caplog.set_level("INFO", "cmc")
    processor("avx512_bf16")
    wide = ["data.n_samples=300", "data.dims=[300,256]", "method.batch_size=full", f"method.hidden={hidden}"]
    report = tiny_run("trainer.precision=auto", *wide, "method.latent_dim=256", "max_phase_epochs=1")
    assert report["precision"] == expected
    told = re.search(r"precision: (.*); the processor has AVX512_BF16, and (\d+)% of the step", caplog.text)
    assert (told[1], int(told[2]) >= 50) == (expected, expected == "bf16-mixed")


def test_what_is_not_trained_by_gradients_is_computed_in_float32(processor, composed, tmp_path):
    processor("amx_bf16")
    config = composed("method=kmeans", "data=synthetic", "data.n_samples=60", "trainer.accelerator=cpu")
    assert config.trainer.precision == "auto"
    assert fit(config, str(tmp_path / "run"))["precision"] == "32-true"


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
