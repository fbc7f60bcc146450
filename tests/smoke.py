"""The commands, from features to a report, on the Python that this is run by: ``make pythons``.

One short run of each method on generated features, a prediction of new samples where a modality is missing, a score and
a report. Each command ends well and leaves its files, or this ends with status 1.
"""

import platform
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

METHODS = ("cmmc", "dmim", "kmeans")
SMALL = {"cmmc": ["method.hidden=[16]", "method.latent_dim=8"], "dmim": ["method.width=16", "method.restarts=1"]}


def main() -> None:
    """Run them all in a folder that goes afterwards."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        features(folder / "features.npz")
        for method in METHODS:
            command(
                folder, "run", f"method={method}", "experiment=smoke", *SMALL.get(method, []), *run_settings(method)
            )
        command(folder, "predict", "run=runs/dmim", "data.root=features.npz", "missing=[right]", "out=labels.csv")
        command(folder, "evaluate", "run=runs/cmmc")
        command(folder, "report", "runs", "--projection", "pca")
        for path in ("runs/kmeans/figures/confusion.png", "labels.csv", "report/report.html"):
            if not (folder / path).stat().st_size:
                sys.exit(f"{path} is empty")
    print(f"Python {platform.python_version()}: {len(METHODS)} runs, a prediction, a score and a report")


def run_settings(method: str) -> list[str]:
    """Where a run reads and writes, and on what it trains."""
    return [
        "callbacks.figures.projection=pca",
        "data=files",
        "data.root=features.npz",
        f"hydra.run.dir=runs/{method}",
        "trainer.accelerator=cpu",
    ]


def features(path: Path) -> None:
    """Two modalities of 120 samples in 3 clusters, with labels."""
    draw = np.random.default_rng(0)
    labels = np.arange(120) % 3
    left, right = (draw.normal(size=(120, d)) + 4 * draw.normal(size=(3, d))[labels] for d in (6, 5))
    np.savez(path, left=left, right=right, labels=labels)


def command(folder: Path, name: str, *arguments: str) -> None:
    """Run one command; what it said is shown where it fails."""
    done = subprocess.run(
        [sys.executable, "-m", f"cmc.{name}", *arguments], cwd=folder, capture_output=True, text=True, check=False
    )
    if done.returncode:
        print(done.stdout, done.stderr, sep="\n", file=sys.stderr)
        sys.exit(f"cmc.{name} {' '.join(arguments)}: exit status {done.returncode}")


if __name__ == "__main__":
    main()
