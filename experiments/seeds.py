"""What several seeds side by side cost: one, five and ten runs of a configuration in one process.

    python -m experiments.seeds [--repeats 5] [--counts 1,5,10] [--epochs 20] [--device cpu] [--out FILE.json] [--tiny]

Each count is a process of its own: training seconds of all runs and those of a run, seconds of the whole command a run,
and the most memory (of the device where that counts its own). Counts are taken in turn; ``ratio`` is of seconds a run,
to those of one seed of the same turn.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from cmc.runs.report import read_report
from cmc.utils.cores import available
from experiments.benchmark import HOME, processor, spread

LEAN = ["evaluate_every=0", "callbacks.figures=null", "callbacks.gallery=null", "callbacks.checkpoints=null"]
CASES = {
    "dmim, digits": ["method=dmim", "data=digits"],
    "cmmc, digits": ["method=cmmc", "data=digits"],
}
SYNTHETIC = ["data=synthetic", "data.n_samples=60", "data.dims=[6,5]", "data.n_clusters=3"]
TINY = {"tiny": ["method=dmim", "method.restarts=1", *SYNTHETIC]}


def trained(case: list[str], n: int, epochs: int, device: str) -> dict[str, float]:
    """Seconds and MiB of n runs in one process."""
    accelerator = "gpu" if device == "cuda" else "cpu"
    with tempfile.TemporaryDirectory() as folder:
        seeds = f"seeds=[{','.join(map(str, range(n)))}]"
        settings = [*case, *LEAN, seeds, f"max_phase_epochs={epochs}", f"trainer.accelerator={accelerator}"]
        command = [sys.executable, "-m", "cmc.run", *settings, f"hydra.run.dir={folder}"]
        began = time.perf_counter()
        done = subprocess.run(command, cwd=HOME, capture_output=True, text=True)
        whole = time.perf_counter() - began
        if done.returncode:
            sys.exit(done.stderr)
        reports = [read_report(Path(folder, f"seed{seed}")) for seed in range(n)]
    training = max(report["seconds"]["total"] for report in reports)  # their clocks run side by side
    return {"training": training / n, "command": whole / n, "peak_mib": max(r["peak_memory_mib"] for r in reports)}


def measured(case: list[str], counts: list[int], repeats: int, epochs: int, device: str) -> dict[str, Any]:
    """Every count in turn, as often as asked for."""
    found: dict[int, list[dict[str, float]]] = {n: [] for n in counts}
    for _ in range(repeats):
        for n in counts:
            found[n].append(trained(case, n, epochs, device))
    rows: dict[str, Any] = {}
    for n, values in found.items():
        first = found[counts[0]]
        rows[str(n)] = {
            "seconds_a_run": spread([value["training"] for value in values]),
            "ratio": spread([a["training"] / b["training"] for a, b in zip(values, first, strict=True)]),
            "command_seconds_a_run": spread([value["command"] for value in values]),
            "peak_mib": spread([value["peak_mib"] for value in values]),
        }
    return rows


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(prog="python -m experiments.seeds", description=__doc__.partition("\n")[0])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--counts", default="1,5,10", help="of seeds; the first is what the others are compared with")
    parser.add_argument("--epochs", type=int, default=20, help="of each phase, at most")
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--out", type=Path, default=HOME / "experiments" / "results" / "seeds.json")
    parser.add_argument("--tiny", action="store_true", help="runs of seconds: does it work?")
    given = parser.parse_args()
    found: dict[str, Any] = {"processor": processor(), "cores": available(), "device": given.device}
    found |= {"repeats": given.repeats, "epochs": given.epochs}
    counts = [int(n) for n in given.counts.split(",")]
    for title, case in (TINY if given.tiny else CASES).items():
        found[title] = measured(case, counts, given.repeats, given.epochs, given.device)
        for n, row in found[title].items():
            print(f"{title}: {n} seeds: {row['seconds_a_run']} s a run, {row['ratio']} times", flush=True)
        given.out.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
