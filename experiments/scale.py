"""Time and memory from 10^4 to 10^7 samples, read from disk: the curve of docs/scaling.md.

    python -m experiments.scale [--largest 10000000] [--data FOLDER]

Two modalities of 32 numbers around 8 centres are written once, in blocks; smaller sizes are their first rows. Every
run is ``python -m cmc.run`` with ``data.in_memory=false``, batches of 4,096 (of 1,024 where CMMC contrasts features,
which takes time by the square of a batch) and one epoch a phase; what it takes with 8,192 samples (starting, reading
libraries) is taken off. Memory is the most anonymous memory of the process (RssAnon,
looked at every 20 ms): pages of the mapped files come on top, and the system drops them when it needs the room.
"""

from __future__ import annotations

import argparse
import csv
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from cmc.runs.report import read_report
from cmc.utils.atomic import atomic_write

HOME = Path(__file__).resolve().parents[1]
RESULTS = HOME / "experiments" / "results"
WIDTH, CLUSTERS, BLOCK, SMALLEST = 32, 8, 100_000, 8_192
METHODS = {
    "cmmc": [
        *("method.hidden=[64]", "method.latent_dim=32", "method.feature_dim=16", "method.kmeans_restarts=10"),
        *("method.phases.reconstruct.epochs=1", "method.phases.contrast.epochs=1", "method.phases.align.epochs=1"),
        "+method.phases.contrast.batch_size=1024",
    ],
    "dmim": [
        *("method.width=32", "~method.candidates.few", "~method.candidates.shared", "method.restarts=1"),
        *("method.validation=0", "method.phases.train.epochs=1", "method.phases.finish.epochs=0"),
    ],
}
LEAN = ["~callbacks.figures", "evaluate_every=0", "callbacks.results.embeddings=false", "trainer.accelerator=cpu"]


def generate(folder: Path, n: int) -> None:
    """Write both modalities and the labels, a block at a time, if they are not there."""
    if (folder / "labels.npy").exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    centres = np.random.default_rng(0).normal(size=(2, CLUSTERS, WIDTH))
    files = [
        np.lib.format.open_memmap(folder / f"{name}.npy", "w+", np.float32, (n, WIDTH)) for name in ("image", "text")
    ]
    labels = np.empty(n, dtype=np.int64)
    for start in range(0, n, BLOCK):
        rng, stop = np.random.default_rng([1, start]), min(start + BLOCK, n)
        labels[start:stop] = rng.integers(0, CLUSTERS, stop - start)
        for file, centre in zip(files, centres, strict=True):
            file[start:stop] = centre[labels[start:stop]] + rng.normal(size=(stop - start, WIDTH))
    np.save(folder / "labels.npy", labels)


def first_rows(whole: Path, folder: Path, n: int) -> None:
    """The first n rows of the data."""
    folder.mkdir(exist_ok=True)
    for file in whole.glob("*.npy"):
        rows = np.load(file, mmap_mode="r")
        part = np.lib.format.open_memmap(folder / file.name, "w+", rows.dtype, (n, *rows.shape[1:]))
        for start in range(0, n, BLOCK):
            part[start : min(start + BLOCK, n)] = rows[start : min(start + BLOCK, n)]


def run(method: str, data: Path, folder: Path) -> dict[str, Any]:
    """One run: seconds of the whole command, its peak of anonymous memory in bytes, and its report."""
    chosen = [f"method={method}", *METHODS[method]]
    place = ["data=files", f"data.root={data}", "data.in_memory=false", "method.batch_size=4096"]
    command = [sys.executable, "-m", "cmc.run", *chosen, *place, *LEAN, f"hydra.run.dir={folder}"]
    began, peak = time.perf_counter(), 0
    process = subprocess.Popen(command, cwd=HOME, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    while process.poll() is None:
        peak = max(peak, anonymous(process.pid))
        time.sleep(0.02)
    if process.returncode:
        sys.exit(process.stderr.read() if process.stderr else "failed")
    report = read_report(folder)
    return {"seconds": time.perf_counter() - began, "bytes": peak, "acc": report["scores"]["acc"]}


def anonymous(pid: int) -> int:
    """Bytes of anonymous memory of a process; 0 once it is gone."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((1024 * int(line.split()[1]) for line in lines if line.startswith("RssAnon")), 0)


def main() -> None:
    """Generate, run, print, write."""
    parser = argparse.ArgumentParser(prog="python -m experiments.scale")
    parser.add_argument("--largest", type=int, default=10**7)
    parser.add_argument("--data", type=Path, help="keep the generated data here")
    given = parser.parse_args()
    sizes = [SMALLEST, *(n for n in (10**4, 10**5, 10**6, 10**7) if n <= given.largest)]
    rows = []
    with tempfile.TemporaryDirectory() as scratch:
        whole = given.data or Path(scratch, "whole")
        generate(whole, given.largest)
        for n in sizes:
            data = Path(scratch, str(n))
            first_rows(whole, data, n)
            for method in METHODS:
                found = run(method, data, Path(scratch, f"{method}-{n}"))
                rows.append({"method": method, "samples": n, **found})
                print(rows[-1], flush=True)
            for file in data.glob("*.npy"):
                file.unlink()
    base = {row["method"]: row for row in rows if row["samples"] == SMALLEST}
    lines = [
        "| method | samples | s | s a million samples | MiB | bytes a sample | ACC |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in rows[len(METHODS) :]:
        first, n = base[row["method"]], row["samples"]
        row["seconds"] = round(row["seconds"] - first["seconds"], 2)
        row["bytes_a_sample"] = round((row["bytes"] - first["bytes"]) / n, 1)
        lines.append(
            f"| {row['method']} | {n:,} | {row['seconds']:.1f} | {row['seconds'] / n * 1e6:.1f} | "
            f"{row['bytes'] / 2**20:.0f} | {row['bytes_a_sample']:.0f} | {row['acc']:.3f} |"
        )
    with atomic_write(RESULTS / "scale.csv") as path, path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[-1]))
        writer.writeheader()
        writer.writerows(rows[len(METHODS) :])
    print("\n".join(lines))


if __name__ == "__main__":
    main()
