"""On a GPU: what is trained there is what is trained on the CPU, to rounding. `experiments/gpu.sh` runs these."""

from pathlib import Path

import numpy as np
import pytest
import torch

import cmc.run
from cmc import distributed
from cmc.functional.kmeans import kmeans_centres
from cmc.methods.loop import TrainingLoop
from cmc.runs.report import read_report
from tests.conftest import SMALL, TINY

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")]
ON_CPU = [part for part in TINY if not part.startswith("trainer.")]


def arguments(method, accelerator, *more):
    settings = [f"trainer.accelerator={accelerator}", "trainer.precision=32-true", "callbacks.figures=null"]
    return [f"method={method}", *SMALL[method], *ON_CPU, *settings, *more]


@pytest.fixture
def drawn_on_the_cpu(monkeypatch):
    """Noise that does not depend on the device."""

    def normal(like, width, n, offset):
        return torch.randn(n, width, dtype=like.dtype)[offset : offset + len(like)].to(like.device)

    monkeypatch.setattr(distributed, "normal", normal)


@pytest.mark.usefixtures("drawn_on_the_cpu")
@pytest.mark.parametrize("method", ["cmmc", "dmim", "cmmc_released", "dmim_released"])
def test_losses_are_those_of_the_cpu(commanded, method):
    found = {}
    for accelerator in ("cpu", "gpu"):
        folder = Path(accelerator)
        assert commanded(cmc.run, *arguments(method, accelerator, f"hydra.run.dir={folder}"))[0] == 0
        found[accelerator] = [
            float(line.split(",")[2]) for line in (folder / "history.csv").read_text().split("\n")[1:2]
        ]
    assert found["gpu"] == pytest.approx(found["cpu"], rel=1e-4)


@pytest.mark.parametrize("method", ["cmmc", "dmim"])
def test_seeds_side_by_side_are_what_each_is_alone(commanded, method):
    assert commanded(cmc.run, *arguments(method, "gpu", "seeds=[0,1]", "hydra.run.dir=both"))[0] == 0
    for seed in (0, 1):
        assert commanded(cmc.run, *arguments(method, "gpu", f"seed={seed}", f"hydra.run.dir=alone{seed}"))[0] == 0
        own, other = (np.load(Path(folder, "embeddings.npy")) for folder in (f"both/seed{seed}", f"alone{seed}"))
        np.testing.assert_allclose(own, other, rtol=1e-2, atol=1e-3)


def test_precision_is_picked_by_the_gpu_and_memory_is_counted(commanded):
    settings = [f"method=cmmc {' '.join(SMALL['cmmc'])}".split(), ON_CPU, ["callbacks.figures=null"]]
    flat = [part for parts in settings for part in parts]
    assert commanded(cmc.run, *flat, "trainer.accelerator=gpu", "hydra.run.dir=run")[0] == 0
    report = read_report(Path("run"))
    fast = torch.cuda.get_device_capability() >= (8, 0)
    assert report["precision"] == ("bf16-mixed" if fast else "32-true")
    assert report["device"] == torch.cuda.get_device_name()
    assert 0 < report["peak_memory_mib"] < 2**10


@pytest.mark.parametrize("method", ["cmmc", "dmim"])
def test_a_step_waits_for_nothing_on_the_device(commanded, monkeypatch, method):
    step, waits = TrainingLoop.training_step, []

    def watched(self, batch, batch_idx):
        last = batch_idx + 1 == int(self.trainer.num_training_batches)  # which reads the epoch's losses
        torch.cuda.set_sync_debug_mode("default" if last or self.current_epoch == 0 else "error")
        try:
            step(self, batch, batch_idx)
        except RuntimeError as error:
            waits.append(str(error))
            raise
        finally:
            torch.cuda.set_sync_debug_mode("default")

    monkeypatch.setattr(TrainingLoop, "training_step", watched)
    status = commanded(cmc.run, *arguments(method, "gpu", "hydra.run.dir=run"))[0]
    assert (status, waits) == (0, [])


def test_kmeans_finds_the_centres_that_it_finds_on_the_cpu():
    draws = torch.Generator().manual_seed(0)
    x = torch.randn(600, 8, generator=draws) + 12 * torch.eye(8)[torch.randint(0, 6, (600,), generator=draws)]
    centres = [kmeans_centres(x.to(device), 6, 10, 0).cpu() for device in ("cpu", "cuda")]
    order = torch.cdist(*centres).argmin(1)
    assert sorted(order.tolist()) == list(range(6))
    torch.testing.assert_close(centres[0], centres[1][order], rtol=1e-4, atol=1e-4)
