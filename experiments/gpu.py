"""All checks that need a GPU, in one go: `experiments/gpu.sh` on a bare machine.

    python -m experiments.gpu [--out experiments/results/gpu.json] [--minutes 9] [--dry]

Tests marked ``gpu``; seeds side by side (`experiments.seeds`); both methods on a surrogate of the full NUS-WIDE
(269,648 x (4,096 + 1,000)), two epochs a phase, with their seconds and peak memory; both methods against the textbook
loop (`experiments.benchmark`). One JSON holds what each part found, its seconds, or why it failed: the rest goes on.
``--dry`` runs the parts on the CPU, on small data, but for the benchmark, of which it looks at the options.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from cmc.runs.report import read_report
from experiments.benchmark import HOME, processor

FULL = ["data.per_class=33706", "data.surrogate_dims=[4096,1000]"]  # 8 x 33,706 = 269,648 samples
SMALL = ["data.per_class=40", "data.surrogate_dims=[64,32]"]
Part = Callable[[bool, float, Path], Any]


def tests(dry: bool, seconds: float, folder: Path) -> dict[str, Any]:
    """The tests marked ``gpu``: how many passed, failed and were skipped."""
    command = [sys.executable, "-m", "pytest", "-m", "gpu", "-p", "no:cacheprovider", "tests/gpu"]
    seen = os.environ | ({} if dry else {"CUDA_VISIBLE_DEVICES": os.environ.get("CUDA_VISIBLE_DEVICES", "0")})
    done = subprocess.run(command, cwd=HOME, env=seen, capture_output=True, text=True, timeout=seconds)
    if done.returncode:
        raise RuntimeError(done.stdout[-2000:] + done.stderr[-1000:])
    return {"summary": done.stdout.strip().splitlines()[-1]}


def seeds(dry: bool, seconds: float, folder: Path) -> Any:
    """See `experiments.seeds`."""
    out = folder / "seeds.json"
    sizes = ["--tiny", "--counts", "1,2"] if dry else ["--device", "cuda", "--counts", "1,5,10"]
    _run("experiments.seeds", *sizes, "--repeats", "1", "--epochs", "10", "--out", str(out), seconds=seconds)
    return json.loads(out.read_text())


def nuswide(dry: bool, seconds: float, folder: Path) -> dict[str, Any]:
    """Both methods on NUS-WIDE's full size, two epochs a phase: seconds of each phase, and MiB."""
    found = {}
    lean = [
        "callbacks.figures=null",
        "callbacks.gallery=null",
        "callbacks.results.embeddings=false",
        "evaluate_every=0",
    ]
    accelerator = f"trainer.accelerator={'cpu' if dry else 'gpu'}"
    for method in ("dmim", "cmmc"):
        run = folder / f"nuswide-{method}"
        settings = [f"method={method}", "data=nuswide", "data.surrogate=true", *(SMALL if dry else FULL), *lean]
        _run("cmc.run", *settings, accelerator, "max_phase_epochs=2", f"hydra.run.dir={run}", seconds=seconds)
        report = read_report(run)
        found[method] = {key: report[key] for key in ("seconds", "peak_memory_mib", "precision", "phases")}
    return found


def benchmark(dry: bool, seconds: float, folder: Path) -> Any:
    """See `experiments.benchmark`."""
    if dry:
        _run("experiments.benchmark", "--help", seconds=seconds)
        return None
    _run("experiments.benchmark", "--device", "cuda", "--repeats", "3", seconds=seconds)
    return json.loads((HOME / "experiments" / "results" / "benchmark.json").read_text())


PARTS: dict[str, Part] = {"tests": tests, "seeds": seeds, "nuswide": nuswide, "benchmark": benchmark}


def _run(module: str, *arguments: str, seconds: float) -> None:
    done = subprocess.run(
        [sys.executable, "-m", module, *arguments], cwd=HOME, capture_output=True, text=True, timeout=seconds
    )
    if done.returncode:
        raise RuntimeError(f"{module}: {done.stderr[-2000:]}")


def main() -> None:
    """Run the parts, one after the other, and write after each."""
    parser = argparse.ArgumentParser(prog="python -m experiments.gpu", description=__doc__.partition("\n")[0])
    parser.add_argument("--out", type=Path, default=HOME / "experiments" / "results" / "gpu.json")
    parser.add_argument("--minutes", type=float, default=9, help="for all parts together")
    parser.add_argument("--parts", default=",".join(PARTS), help="some of them")
    parser.add_argument("--dry", action="store_true", help="on the CPU, on small data: does it work?")
    given = parser.parse_args()
    if not given.dry and not torch.cuda.is_available():
        sys.exit("no GPU is here; --dry runs on the CPU")
    until = time.monotonic() + 60 * given.minutes
    device = processor() if given.dry else torch.cuda.get_device_name()
    found: dict[str, Any] = {"device": device, "torch": str(torch.__version__), "dry": given.dry, "parts": {}}
    with tempfile.TemporaryDirectory() as folder:
        for name in given.parts.split(","):
            began, part = time.monotonic(), {}
            try:
                part["found"] = PARTS[name](given.dry, max(1.0, until - began), Path(folder))
            except (RuntimeError, OSError, ValueError, subprocess.TimeoutExpired) as error:
                part["failed"] = str(error)
            part["seconds"] = round(time.monotonic() - began, 1)
            found["parts"][name] = part
            print(f"{name}: {part['seconds']} s: {'failed' if 'failed' in part else 'done'}", flush=True)
            given.out.parent.mkdir(parents=True, exist_ok=True)
            given.out.write_text(json.dumps(found, indent=1) + "\n")
    sys.exit(any("failed" in part for part in found["parts"].values()))


if __name__ == "__main__":
    main()
