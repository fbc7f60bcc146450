"""Accuracy with and without each speed-up that changes numbers: ``python -m experiments.benchmark_accuracy``.

30 runs on digits, seeds 0 to 4 (with ``--compile`` 40: `method.compile` too), for the table of `experiments.benchmark`.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from contextlib import nullcontext
from typing import Any
from unittest.mock import patch

from cmc.estimator.compose import compose_config
from cmc.training.fit import fit
from experiments.benchmark_table import LEAN, keep
from experiments.naive import scikit_learns_centres

SHORT = {f"phases__{phase}__epochs": n for phase, n in (("reconstruct", 40), ("contrast", 40), ("align", 50))}
BF16 = {"trainer__precision": "bf16-mixed"}
VARIANTS: dict[str, dict[str, Any]] = {"32-true": {"trainer__precision": "32-true"}, "bf16-mixed": BF16}
WITHOUT: dict[str, tuple[str, Any]] = {  # of CMMC's speed-ups, what stands in its place
    "bf16-mixed, scikit-learn's k-means": ("cmc.methods.cmmc.kmeans_centres", scikit_learns_centres),
    "bf16-mixed, a product a modality": ("cmc.nn.autoencoder._FEW", 0),
}


def accuracy(method: str, name: str, settings: dict[str, Any], seeds: int) -> list[float]:
    """Mean and deviation of ACC, of CMMC on a short schedule, of DMIM at the default one."""
    scores = []
    for seed in range(seeds):
        given = LEAN | {"trainer__accelerator": "cpu"} | (SHORT if method == "cmmc" else {}) | settings
        config = compose_config(method, given, "digits")
        config.seed = seed
        replaced = patch(*WITHOUT[name]) if name in WITHOUT else nullcontext()
        with tempfile.TemporaryDirectory() as folder, replaced:
            scores.append(fit(config, folder)["scores"]["acc"])
    return [round(statistics.mean(scores), 4), round(statistics.stdev(scores), 4)]


def main() -> None:
    """Train, print, write."""
    parser = argparse.ArgumentParser(prog="python -m experiments.benchmark_accuracy", description=__doc__)
    parser.add_argument("--compile", action="store_true", help="with method.compile=true, too")
    parser.add_argument("--seeds", type=int, default=5, help="of each; the table holds those of 5, others are printed")
    given = parser.parse_args()
    compiled = {"bf16-mixed, compiled": BF16 | {"compile": True}} if given.compile else {}
    found: dict[str, Any] = {}
    for method, more in (("cmmc", dict.fromkeys(WITHOUT, BF16)), ("dmim", {})):
        for name, settings in (VARIANTS | more | compiled).items():
            key = f"{method}, {name}"
            found[key] = accuracy(method, name, settings, given.seeds)
            print(f"{key}: ACC {found[key]}", flush=True)
    if given.seeds == 5:
        keep({"accuracy": found}, "cpu")


if __name__ == "__main__":
    main()
