"""Both methods against the textbook loop, and against what the processor could do, in one process and in turn.

    python -m experiments.benchmark [--device cuda] [--repeats 5] [--whole MNIST_USPS.mat] [--compile]

CMMC at MNIST-USPS's size (5,000 x (784 + 784), batch 256, its 4 to 1 mixture of the first two phases) and DMIM at
NUS-WIDE's as released (20,000 x (100 + 100), K = 8, full batch, one network, pseudo labels every 5 epochs), on random
numbers. Ours are whole runs of `cmc.training.fit.fit`; of each, the first epoch of a phase is left out. The naive loops
are those of `experiments.naive`. ``results/benchmark.json`` and ``results/benchmark.md`` keep what was found, with the
scores of `experiments.benchmark_accuracy`.
"""

from __future__ import annotations

import argparse
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import torch

from cmc.estimator.compose import compose_config
from cmc.functional.kmeans import kmeans_centres
from cmc.training.fit import fit
from experiments import naive
from experiments.benchmark_table import LEAN, keep
from experiments.stopwatch import Stopwatch, now, parts_timed

HOME = Path(__file__).resolve().parents[1]
Times = dict[str, list[float]]


class Case(NamedTuple):
    """What is trained: data, method, FLOPs of an epoch's matrix products by phase, and how phases are mixed."""

    method: str
    data: dict[str, Any]
    settings: dict[str, Any]
    mixture: dict[str, float]
    gflop: float
    model: Callable[[], Any]
    batch_size: int
    lr: float

    @property
    def samples(self) -> int:
        """N."""
        return int(self.data["data__n_samples"])


def products(n: int, widths: list[int]) -> float:
    """GFLOP of the matrix products of n samples through linear layers and back; the first has no input's gradient."""
    sizes = [a * b for a, b in pairwise(widths)]
    return n * (6 * sum(sizes) - 2 * sizes[0]) / 1e9


CMMC_WIDTHS = [784, 500, 500, 2000, 512, 2000, 500, 500, 784]
CASES = {
    "CMMC, 5,000 x (784 + 784), batch 256": Case(
        "cmmc",
        {"data__n_samples": 5000, "data__dims": [784, 784], "data__n_clusters": 10},
        {"phases__reconstruct__epochs": 5, "phases__contrast__epochs": 2, "phases__align__epochs": 0},
        {"reconstruct": 0.8, "contrast": 0.2},
        2 * products(19 * 256, CMMC_WIDTHS),
        lambda: naive.NaiveCMMC((784, 784), 10),
        256,
        3e-4,
    ),
    "DMIM, 20,000 x (100 + 100), K = 8, full batch": Case(
        "dmim",
        {"data__n_samples": 20_000, "data__dims": [100, 100], "data__n_clusters": 8},
        {"candidates": {"plain": {}}, "restarts": 1, "validation": 0.0, "unit_rows": False, "gamma": 0.5}
        | {"phases__train__epochs": 11, "phases__finish__epochs": 0},
        {"train": 1.0},
        2 * products(20_000, [100] * 5 + [188]),
        lambda: naive.NaiveDMIM((100, 100), 8),
        20_000,
        5e-4,
    ),
}


def limit(dtype: torch.dtype, device: torch.device, size: int = 4096) -> float:
    """GFLOP/s of a large product of square matrices, the best of ten."""
    a, b = (torch.randn(size, size, device=device).to(dtype) for _ in range(2))
    found = []
    for _ in range(10):
        began = now(device)
        a @ b
        found.append(now(device) - began)
    return 2 * size**3 / min(found) / 1e9


def ours(case: Case, device: torch.device, **settings: Any) -> tuple[float, float]:
    """Seconds of an epoch, phases mixed as the recipe has them, and the share of it that steps take, in a whole run."""
    accelerator = {"trainer__accelerator": "gpu" if device.type == "cuda" else "cpu"}
    watch = {"callbacks__stopwatch": {"_target_": "experiments.stopwatch.Stopwatch"}}
    config = compose_config(case.method, case.data | case.settings | LEAN | accelerator | watch | settings, "synthetic")
    with tempfile.TemporaryDirectory() as folder:
        fit(config, folder)
    seconds = share = 0.0
    for phase, part in case.mixture.items():
        timed = [epoch for epoch in Stopwatch.latest.epochs if epoch[0] == phase][1:]
        seconds += part * statistics.mean(whole for _, whole, _ in timed)
        share += part * statistics.mean(steps for _, _, steps in timed)
    return seconds, share / seconds


def naive_epoch(case: Case, device: torch.device) -> Callable[[], float]:
    """A function that times an epoch of the naive loop, phases and refreshed pseudo labels mixed as in the recipe."""
    torch.manual_seed(0)
    model = case.model().to(device)
    rows = [torch.rand(case.samples, d) for d in case.data["data__dims"]]
    train = naive.epochs(model, rows, case.batch_size, case.lr)

    def timed() -> float:
        seconds = 0.0
        for phase, part in case.mixture.items():
            began = now(device)
            if hasattr(model, "refresh"):
                model.refresh([x.to(device) for x in rows])
            refreshed = now(device)
            train(phase)
            seconds += part * (now(device) - refreshed + (refreshed - began) / 5)
        return seconds

    timed()
    return timed


def measure(case: Case, device: torch.device, repeats: int, variants: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Every variant and the naive loop in turn, ``repeats`` times."""
    loop = naive_epoch(case, device)
    seconds: Times = {name: [] for name in ("naive", *variants)}
    steps: Times = {name: [] for name in variants}
    for _ in range(repeats):
        seconds["naive"].append(loop())
        for name, settings in variants.items():
            whole, share = ours(case, device, **settings)
            seconds[name].append(whole)
            steps[name].append(share)
    rows = {}
    for name, found in seconds.items():
        ratios = [a / b for a, b in zip(seconds["naive"], found, strict=True)]
        rows[name] = {
            "seconds": spread(found),
            "samples_per_second": round(case.samples / statistics.median(found)),
            "ratio": spread(ratios),
            "gflops": round(case.gflop / statistics.median(found), 1),
            "outside_steps": round(1 - statistics.median(steps[name]), 4) if name in steps else None,
        }
    return rows


def spread(values: list[float]) -> list[float]:
    """Median, least and largest."""
    return [round(x, 4) for x in (statistics.median(values), min(values), max(values))]


def peak(title: str, variant: str, device: str) -> float:
    """MiB of a process of its own that trains a variant, ``naive`` or a precision."""
    command = [sys.executable, "-m", "experiments.benchmark", "--peak", title, variant, "--device", device]
    done = subprocess.run(command, cwd=HOME, capture_output=True, text=True, check=True)
    return float(done.stdout.splitlines()[-1])


def print_peak(title: str, variant: str, device: torch.device) -> None:
    """The child's part of `peak`."""
    case = CASES[title]
    if variant == "naive":
        naive_epoch(case, device)
    else:
        ours(case, device, trainer__precision=variant)
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
    print(torch.cuda.max_memory_allocated() / 2**20 if device.type == "cuda" else used)


def start_up() -> float:
    """Seconds from typing a command to the first step of training."""
    with tempfile.TemporaryDirectory() as folder:
        mark = Path(folder, "mark")
        watch = f"+callbacks.stopwatch={{_target_:experiments.stopwatch.Stopwatch,mark:{mark}}}"
        short = ["max_phase_epochs=1", "~callbacks.figures", f"hydra.run.dir={folder}/run"]
        began = time.time()
        subprocess.run([sys.executable, "-m", "cmc.run", *short, watch], cwd=HOME, capture_output=True, check=True)
        return float(mark.read_text()) - began


def whole(path: str) -> dict[str, Any]:
    """A default run of CMMC on MNIST-USPS, figures and all, beside the naive loop's epochs alone."""
    settings = {"data__root": path, "trainer__accelerator": "cpu"}
    watch = {"callbacks__stopwatch": {"_target_": "experiments.stopwatch.Stopwatch"}}
    naive_seconds = naive_epoch(CASES[next(iter(CASES))], torch.device("cpu"))
    before = naive_seconds()
    with tempfile.TemporaryDirectory() as folder, parts_timed() as parts:
        began = time.perf_counter()
        report = fit(compose_config("cmmc", settings | watch, "files"), folder)
        seconds = time.perf_counter() - began
    stepping = sum(steps for _, _, steps in Stopwatch.latest.epochs)
    epoch = statistics.mean((before, naive_seconds()))
    return {
        "seconds": round(seconds, 1),
        "naive_seconds": round(250 * epoch, 1),  # of the first two phases
        "ratio": round(250 * epoch / seconds, 2),
        "outside_steps": round(1 - stepping / seconds, 4),
        "parts": {name: round(taken / seconds, 4) for name, taken in parts.items()},
        "precision": report["precision"],
        "scores": report["scores"],
    }


def restarted(device: torch.device) -> dict[str, list[float]]:
    """k-means with 100 restarts on 5,000 x 128 rows, K = 10: seconds, the least of three, and inertia."""
    draws = torch.Generator().manual_seed(0)
    centres = torch.rand(20, 128, generator=draws)
    x = centres[torch.randint(0, 20, (5000,), generator=draws)] + 0.6 * torch.randn(5000, 128, generator=draws)

    found = {}
    for name, find in (("scikit-learn", naive.scikit_learns_centres), ("ours", kmeans_centres)):
        seconds, rows = [], x.to(device)
        for _ in range(3):
            began = time.perf_counter()
            answer = find(rows, 10, 100, 0).cpu()
            seconds.append(time.perf_counter() - began)
        inertia = torch.cdist(x.double(), answer.double()).amin(1).square().sum()
        found[name] = [round(min(seconds), 3), round(float(inertia), 1)]
    return found


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(prog="python -m experiments.benchmark", description=__doc__)
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--compile", action="store_true", help="measure method.compile=true too")
    parser.add_argument("--whole", metavar="MNIST_USPS.mat", help="train a default run on these data, too")
    parser.add_argument("--peak", nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    device = torch.device(given.device)
    if given.peak:
        print_peak(*given.peak, device)
        return
    variants = {name: {"trainer__precision": name} for name in ("32-true", "bf16-mixed")}
    if given.compile:
        variants["bf16-mixed, compiled"] = variants["bf16-mixed"] | {"compile": True}
    keep(measured(given, variants), given.device)


def measured(given: argparse.Namespace, variants: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """All that is timed."""
    device = torch.device(given.device)
    kinds = {"fp32": torch.float32, "bf16": torch.bfloat16}
    model = torch.cuda.get_device_name(device) if device.type == "cuda" else processor()
    rows = ("naive", "32-true", "bf16-mixed")
    peaks = {(title, name): peak(title, name, given.device) for title in CASES for name in rows}
    found: dict[str, Any] = {  # after the peaks: a child's begins with its parent's size
        "machine": f"{model}, {torch.get_num_threads()} threads, torch {torch.__version__}",
        "limits": {name: round(limit(dtype, device)) for name, dtype in kinds.items()},
        "start_up": min(start_up() for _ in range(3)),
        "cases": {title: measure(case, device, given.repeats, variants) for title, case in CASES.items()},
        "kmeans": restarted(device),
    }
    for (title, name), mib in peaks.items():
        found["cases"][title][name]["peak_mib"] = mib
    if given.whole:
        found["whole"] = whole(given.whole)
    return found


def processor() -> str:
    """Its name, as Linux has it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(": ")[2] for line in lines if line.startswith("model name")), platform.machine())


if __name__ == "__main__":
    main()
