"""Two real processes (gloo, CPU) against one: losses, gradients, parameters, metrics, and whole runs."""

import json
import os
import subprocess
from pathlib import Path

import pytest
import torch

from tests.quick import interpreter

ROOT = Path(__file__).resolve().parents[2]
N = 41  # not divisible by 2, nor is any batch of it

STEPS = f"""
import os, sys
from functools import partial
import numpy as np, torch
import torch.distributed as dist
from pytorch_lightning import Callback, Trainer
from cmc.distributed.strategy import Processes
from cmc.data.modalities import Modalities
from cmc.data.module import DataModule
from cmc.callbacks import Results
from cmc.methods import CMMC, DMIM, ReleasedCMMC, ReleasedDMIM, StableCMMC
from tests.distributed.peers import peer
from cmc.training.trainer import LOOP

case, batch_size, dims, folder, out = sys.argv[1], sys.argv[2], [int(d) for d in sys.argv[3].split(",")], *sys.argv[4:6]
case, _, gaps = case.partition("+")
batch_size = batch_size if batch_size == "full" else int(batch_size)
torch.set_default_dtype(torch.float64)

class Data(DataModule):
    def read(self):
        rng = np.random.default_rng(0)
        labels = np.arange({N}) % 3
        features = {{f"m{{i}}": rng.normal(size=({N}, d)) + 2 * np.eye(3, d)[labels] for i, d in enumerate(dims)}}
        if gaps == "apart":  # in a full batch the second process has nothing of the last modality
            features[f"m{{len(dims) - 1}}"][{N} // 2:] = np.nan
            features["m0"][:{N} // 2:5] = np.nan
        return Modalities(features, labels, source="toy")

data = Data(seed=1, missing=0.6 if gaps == "mixed" else 0.0)
data.load()
data.samples.tensors = tuple(x.double() for x in data.samples.tensors)
shape = dict(zip((f"m{{i}}" for i in range(len(dims))), dims))
adam = lambda p: torch.optim.Adam(p, lr=1e-2, eps=1e-3)
torch.manual_seed(0)
if case.startswith("cmmc"):
    small = dict(hidden=[8], latent_dim=6, feature_dim=4, kmeans_restarts=3)
    phases = {{"reconstruct": {{"epochs": 2}}, "contrast": {{"epochs": 3}}}}
    phases["align"] = {{"epochs": 3, "batch_size": "full", "chunk_size": 9}}
    stable = partial(StableCMMC, restarts=3)
    kind = {{"cmmc": CMMC, "cmmc-released": ReleasedCMMC, "cmmc-stable": stable}}[case]
    method = kind(shape, 3, phases, adam, batch_size, **small)
elif not case.startswith("dmim"):
    method = peer(case, shape, adam, batch_size)
else:
    candidates = {{"few": {{"components": 3, "input_noise": 0.3}}, "shared": {{"components": 3, "shared": 2}}}}
    ours = dict(width=6, restarts=1, candidates=candidates, validation=0.3)
    kind, options = (DMIM, ours) if case == "dmim" else (ReleasedDMIM, {{}})
    phases = {{"train": {{"epochs": 4}}, "finish": {{"epochs": 2}}}}
    method = kind(shape, 3, phases, adam, batch_size=batch_size, drop_last=False,
                  overcluster_factor=2, refresh_every=2, **options)
method.admit(data)
method.double()

class Record(Callback):
    records, gradients = [], []
    def on_train_batch_end(self, trainer, module, *rest):
        each = [torch.zeros_like(p) if p.grad is None else p.grad for p in module.parameters()]
        self.gradients.append(torch.cat([g.flatten() for g in each]))
    def on_train_epoch_end(self, trainer, module):
        self.records.append(module.record())

record, world = Record(), int(os.environ.get("WORLD_SIZE", 1))
trainer = Trainer(accelerator="cpu", devices=world, max_epochs=method.schedule.n_epochs, logger=False,
    strategy=Processes(process_group_backend="gloo") if world > 1 else "auto",
    enable_checkpointing=False, callbacks=[record, Results({{"method": case, "data": "toy", "seed": 0}})],
    default_root_dir=folder, **LOOP)
trainer.fit(method, datamodule=data, weights_only=True)
torch.save({{"records": record.records, "gradients": torch.stack(record.gradients), "state": method.state_dict()}},
           f"{{out}}-{{trainer.global_rank}}.pt")
"""


def processes(code, arguments, world, port, python=None):
    """Run code in processes that are forked, or begun anew by an interpreter that is given."""
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    started = []
    for rank in range(world):
        here = {"WORLD_SIZE": str(world), "LOCAL_RANK": str(rank), "NODE_RANK": "0"} if world > 1 else {}
        here |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
        command = [python or interpreter(), "-c", code, *map(str, arguments)]
        started.append(subprocess.Popen(command, env=environment | here, stderr=subprocess.PIPE, text=True))
    for process in started:
        _, errors = process.communicate(timeout=240)
        assert process.returncode == 0, errors[-3000:]


@pytest.fixture
def port():
    import socket

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


@pytest.mark.parametrize(
    ("case", "batch_size", "dims"),
    [
        ("cmmc", "10", "7,5"),
        ("cmmc-released", "full", "7,5,4"),
        ("cmmc-stable", "10", "7,5"),
        ("dmim", "full", "7,5"),
        ("dmim", "11", "7,5,4"),
        ("dmim-released", "full", "7,5"),
        ("cmmc+mixed", "10", "7,5,4"),
        ("cmmc-released+apart", "full", "7,5"),
        ("cmmc-stable+mixed", "10", "7,5"),
        ("dmim+apart", "full", "7,5"),
        ("dmim+mixed", "11", "7,5,4"),
        ("dmim-released+mixed", "11", "7,5"),
        ("dmim-released+apart", "full", "7,5,4"),
        ("autoencoder", "10", "7,5"),
        ("simvc", "full", "7,5"),
        ("comvc", "11", "7,5,4"),
        ("comvc-sampled", "full", "7,5"),
        ("completer", "11", "7,5,4"),
        ("cvcl", "11", "7,5,4"),
        ("sem", "10", "7,5,4"),
        ("own", "10", "7,5"),
        ("rotating", "11", "7,5,4"),
        ("common", "11", "7,5,4"),
        ("mvcan", "11", "7,5,4"),
        ("divide", "11", "7,5,4"),
        ("gcfagg", "11", "7,5,4"),
        ("rml", "11", "7,5,4"),
    ],
)
def test_two_processes_train_as_one(tmp_path, port, case, batch_size, dims):
    """Every phase: loss terms, gradients, parameters and buffers after every step, and the files that are written."""
    seen = {}
    for world in (1, 2):
        folder = tmp_path / f"run{world}"
        folder.mkdir()
        processes(STEPS, (case, batch_size, dims, folder, tmp_path / f"seen{world}"), world, port)
        seen[world] = [torch.load(tmp_path / f"seen{world}-{r}.pt") for r in range(world)]
    (one,) = seen[1]
    for two in seen[2]:
        torch.testing.assert_close(two["gradients"], one["gradients"], rtol=1e-6, atol=1e-9)
        for name, value in one["state"].items():
            torch.testing.assert_close(two["state"][name], value, rtol=1e-6, atol=1e-9, msg=name)
        for mine, theirs in zip(two["records"], one["records"], strict=True):
            assert mine == pytest.approx(theirs, rel=1e-6)
    first, second = (tmp_path / f"run{world}" for world in (1, 2))
    columns = [
        [line.split(",")[:2] for line in (f / "assignments.csv").read_text().splitlines()] for f in (first, second)
    ]
    assert columns[0] == columns[1]
    assert len(columns[0]) == N + 1, "every sample once"
    one, two = (json.loads((f / "metrics.json").read_text())["calibration"] for f in (first, second))
    assert two == {**one, "temperature": pytest.approx(one["temperature"], rel=1e-5)}
