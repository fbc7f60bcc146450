"""DMIM at the size of NUS-WIDE as released: seconds an epoch against the naive loop, and peak memory.

    python experiments/dmim_speed.py

20,000 x (100 + 100), K = 8, full batch, both heads. The naive loop makes the N x C x C tensor of outer products for
each joint table, as research code does; all else is alike: one network, the same width, Adam. Both are timed in turn in
one process; memory is that of a process of its own (``--memory ours|naive``).
"""

from __future__ import annotations

import argparse
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

import torch
from torch import Tensor

from cmc.data.loader import Batch
from cmc.functional.sinkhorn import sinkhorn_labels
from cmc.methods.dmim import DMIM

N, D, K, REFRESH = 20_000, 100, 8, 5


def model() -> DMIM:
    """One network of the default sizes, without what the default adds to the paper."""
    torch.manual_seed(0)
    settings = {"restarts": 1, "unit_rows": False, "components": None, "input_noise": 0.0, "refresh_every": REFRESH}
    method = DMIM({"image": D, "text": D}, K, {"train": {"epochs": 100}}, torch.optim.Adam, **settings)
    method.pseudo = torch.randint(0, K, (1, 2, N)).short()
    return method


def naive_information(a: Tensor, b: Tensor) -> Tensor:
    """Mutual information through N x C x C outer products."""
    joint = (a.unsqueeze(2) * b.unsqueeze(1)).sum(0)
    joint = (joint + joint.T) / 2
    joint = joint / joint.sum()
    rows, columns = joint.sum(1, keepdim=True).expand_as(joint), joint.sum(0, keepdim=True).expand_as(joint)
    joint, rows, columns = (x.clamp_min(1e-8) for x in (joint, rows, columns))
    return (joint * (joint.log() - rows.log() - columns.log())).sum()


def naive_loss(method: DMIM, batch: Batch) -> Tensor:
    """The objective written out for two modalities."""
    a, b = (method.networks[0](x, m) for m, x in enumerate(batch.modalities))
    shared = naive_information(a.cluster.softmax(1), b.cluster.softmax(1))
    shared = shared + naive_information(a.overcluster.softmax(1), b.overcluster.softmax(1))
    divergence = sum((o.mean**2 + o.deviation**2 - 1 - 2 * o.deviation.log()).sum(1).mean() / 2 for o in (a, b))
    targets = method.pseudo[0].long()
    uniform = sum(torch.nn.functional.cross_entropy(o.cluster, y) for o, y in zip((a, b), targets, strict=True))
    return -shared + 0.01 * divergence + 0.5 * uniform


def epochs(kind: str) -> Callable[[], None]:
    """A function that trains for one interval between two refreshes, the refresh included."""
    method = model()
    batch = Batch(tuple(torch.randn(N, D) for _ in range(2)), torch.arange(N))
    optimizer = torch.optim.Adam(method.parameters(), lr=5e-4, fused=kind == "ours")

    def train() -> None:
        with method.evaluating():
            logs = [method.networks[0](x, m).cluster.log_softmax(1) for m, x in enumerate(batch.modalities)]
            method.pseudo = torch.stack([torch.stack([sinkhorn_labels(log) for log in logs])]).short()
        for _ in range(REFRESH):
            optimizer.zero_grad()
            loss = (
                naive_loss(method, batch) if kind == "naive" else torch.stack(list(method.losses(batch).values())).sum()
            )
            loss.backward()
            optimizer.step()

    return train


def memory(kind: str) -> float:
    """Peak MiB of a process that trains one interval."""
    command = [sys.executable, __file__, "--memory", kind]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def main() -> None:
    """Print seconds an epoch, the ratio's spread and both peaks."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--memory", choices=("ours", "naive"))
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    if arguments.memory:
        epochs(arguments.memory)()
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10)
        return
    peaks = {kind: memory(kind) for kind in ("naive", "ours")}  # first: a child's peak begins with its parent's size
    trains = {kind: epochs(kind) for kind in peaks}
    seconds: dict[str, list[float]] = {kind: [] for kind in trains}
    for _ in range(arguments.repeats):
        for kind, train in trains.items():
            start = time.perf_counter()
            train()
            seconds[kind].append((time.perf_counter() - start) / REFRESH)
    ratios = [a / b for a, b in zip(seconds["naive"], seconds["ours"], strict=True)]
    for kind, values in seconds.items():
        print(f"{kind}: {statistics.median(values):.3f} s an epoch, peak {peaks[kind]:.0f} MiB")
    print(f"ratio: {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f}) over {len(ratios)} pairs")


if __name__ == "__main__":
    main()
