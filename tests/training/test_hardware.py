"""Threads by the work: the rule, what a run does with it, and that the run folder keeps it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from omegaconf import OmegaConf
from threadpoolctl import threadpool_info

from cmc.config.messages import make
from cmc.nn.work import Product, products
from cmc.training import hardware
from cmc.training.hardware import computing_on, resolve_threads, work
from cmc.training.resume import first_difference

ROOT = Path(__file__).resolve().parents[2]


def built(config):
    data = make("data", config.data)
    data.load()
    method = make("method", config.method, dims=data.dims, n_clusters=data.n_clusters)
    method.admit(data)
    return method, data


@pytest.mark.parametrize(
    ("method", "data", "most", "expected"),
    [
        ("dmim", "digits", 64, 1),
        ("dmim_released", "digits", 64, 1),
        ("kmeans", "digits", 64, 1),
        ("cmmc", "digits", 2, 2),
        ("cmmc", "digits", 1, 1),
        ("cmmc", "digits", 64, 6),
    ],
)
def test_small_steps_get_one_thread_and_large_ones_what_they_are_worth(composed, method, data, most, expected):
    found = work(*built(composed(f"method={method}", f"data={data}")), 1)
    assert resolve_threads(found, most)[0] == expected


def test_processes_share_the_batch_and_a_batch_above_all_samples_is_all_of_them(composed):
    method, data = built(composed("method=cmmc", "data=digits", "method.batch_size=100000"))
    assert work(method, data, 1) == products(method.parameters(), 1797)
    assert work(method, data, 4) == products(method.parameters(), 449)


def test_chunks_are_what_passes_through_the_layers(composed):
    method, data = built(composed("method=cmmc", "method.phases.align.epochs=500", "method.phases.align.chunk_size=64"))
    assert {each.samples for each in work(method, data, 1)} == {64}


def test_there_are_as_many_threads_as_before_afterwards():
    before = torch.get_num_threads()
    seen = []
    for n in (1, 2):
        with computing_on(n):
            seen.append((torch.get_num_threads(), {each["num_threads"] for each in threadpool_info()}))
    assert [n for n, _ in seen] == [1, 2]
    assert seen[0][1] == {1}
    assert torch.get_num_threads() == before


@pytest.mark.parametrize(("size", "expected"), [(1, 1), (2 * hardware.A_THREAD, 2)])
def test_what_was_picked_is_told_saved_and_kept(monkeypatch, tiny_run, composed, tmp_path, caplog, size, expected):
    caplog.set_level("INFO", "cmc")
    monkeypatch.setattr(hardware, "work", lambda *given: [Product(1, 1, size)])
    monkeypatch.setattr(hardware, "allowed", lambda: 2)
    before = torch.get_num_threads()
    assert tiny_run()["threads"] == expected
    assert torch.get_num_threads() == before
    assert f"threads: {expected}; a product of the step has" in caplog.text
    run = tmp_path / "run"
    assert OmegaConf.load(run / "config.yaml").trainer.threads == expected
    monkeypatch.setattr(hardware, "allowed", lambda: 1)
    monkeypatch.setattr(hardware, "available", lambda: 1)
    caplog.clear()
    assert tiny_run(f"resume={run}")["threads"] == expected
    warned = f"threads: {expected}, as when the run began, though only 1 cores are here" in caplog.messages
    assert warned == (expected > 1)


def test_a_number_of_threads_is_another_run_and_auto_is_the_same(composed, tiny_run, tmp_path):
    tiny_run("trainer.threads=1")
    config = OmegaConf.load(tmp_path / "run" / "config.yaml")
    assert first_difference(tmp_path / "run", OmegaConf.merge(config, {"trainer": {"threads": "auto"}})) is None
    assert first_difference(tmp_path / "run", OmegaConf.merge(config, {"trainer": {"threads": None}})) is None
    assert first_difference(tmp_path / "run", OmegaConf.merge(config, {"trainer": {"threads": 2}})) == "trainer"


def test_jobs_side_by_side_are_told_to_divide_the_cores():
    """By joblib, which hydra/launcher=joblib starts them with; `cmc.utils.cores.allowed` reads it."""
    code = (
        "import joblib, os; from cmc.utils.cores import allowed;"
        "print(*joblib.Parallel(2)(joblib.delayed(allowed)() for _ in range(2)), joblib.cpu_count())"
    )
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("OMP", "MKL", "OPENBLAS"))}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True
    )
    first, second, cores = map(int, done.stdout.split())
    assert first == second == max(1, cores // 2)
