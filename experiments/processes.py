"""Seconds an epoch on one process and on two, of the cores of one machine: the table of docs/scaling.md.

    python experiments/processes.py [--repeats 3]

Every cell is a run of ``python -m cmc.run`` on generated data, its phases' seconds divided by their epochs; the
settings are taken in turn, so that all meet the same load. Threads are those of each process (OMP_NUM_THREADS).
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from itertools import product
from pathlib import Path
from statistics import median

from cmc.runs.report import read_report

CASES = {
    "DMIM, 20,000 x (100 + 100), K = 8, full batch": [
        *("method=dmim", "data=nuswide", "data.surrogate=true"),
        *("~method.candidates.few", "~method.candidates.shared", "method.restarts=1", "method.validation=0"),
        *("method.phases.train.epochs=20", "method.phases.finish.epochs=0"),
    ],
    "CMMC, 5,000 x (784 + 784), batch 256": [
        *("method=cmmc", "data=synthetic", "data.n_samples=5000", "data.dims=[784,784]"),
        *("method.phases.reconstruct.epochs=2", "method.phases.contrast.epochs=2", "method.phases.align.epochs=0"),
    ],
    "CMMC, the same, batch 2,500": [
        *("method=cmmc", "data=synthetic", "data.n_samples=5000", "data.dims=[784,784]", "method.batch_size=2500"),
        *("method.phases.reconstruct.epochs=4", "method.phases.contrast.epochs=4", "method.phases.align.epochs=0"),
    ],
}
LEAN = ["evaluate_every=0", "~callbacks.figures", "~callbacks.checkpoints", "callbacks.results.embeddings=false"]
LEAN += ["trainer.precision=32-true"]
SETTINGS = {"1 process, 1 thread": (1, 1), "1 process, 2 threads": (1, 2), "2 processes, 1 thread each": (2, 1)}


def seconds(case: str, setting: str) -> float:
    """Of an epoch, in one run."""
    processes, threads = SETTINGS[setting]
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "cmc.run", *CASES[case], *LEAN, f"hydra.run.dir={folder}/run"]
        subprocess.run(
            [*command, "trainer.accelerator=cpu", f"trainer.devices={processes}"],
            env=os.environ | {"OMP_NUM_THREADS": str(threads)},
            check=True,
            capture_output=True,
        )
        report = read_report(Path(folder, "run"))
    phases = [name for name, epochs in report["phases"].items() if epochs]
    return sum(report["seconds"][name] for name in phases) / sum(report["phases"][name] for name in phases)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--repeats", type=int, default=3)
    found: dict[tuple[str, str], list[float]] = {key: [] for key in product(CASES, SETTINGS)}
    for _ in range(parser.parse_args().repeats):
        for key, times in found.items():
            times.append(seconds(*key))
    print(f"| seconds an epoch | {' | '.join(SETTINGS)} |\n|---|{'---|' * len(SETTINGS)}")
    for case in CASES:
        cells = [found[case, setting] for setting in SETTINGS]
        print(f"| {case} | {' | '.join(f'{median(t):.2f} ({min(t):.2f} to {max(t):.2f})' for t in cells)} |")


if __name__ == "__main__":
    main()
