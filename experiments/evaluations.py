"""What evaluations during training cost: runs with the default `evaluate_every` and without any, in turn.

    python -m experiments.evaluations [--repeats 5] [--epochs 30] [--out FILE.json]

``ratio`` is that of training seconds (all epochs of all phases), of pairs of runs one after the other; ``share`` is the
part of its training seconds that a run spends in `Evaluation`, which other work on the machine hardly touches.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

from cmc.callbacks.evaluation import Evaluation
from cmc.estimator.compose import compose_config
from cmc.training.fit import fit
from experiments.benchmark import HOME, processor, spread
from experiments.benchmark_table import LEAN

CASES: dict[str, tuple[str, str, dict[str, Any]]] = {
    "cmmc, digits": ("cmmc", "digits", {}),
    "dmim, digits": ("dmim", "digits", {}),
    "cmmc_stable, digits": ("cmmc_stable", "digits", {}),
    "cmmc, 5,000 x (784 + 784)": ("cmmc", "synthetic", {"data__n_samples": 5000, "data__dims": [784, 784]}),
    "dmim, 5,000 x (100 + 100)": ("dmim", "synthetic", {"data__n_samples": 5000, "data__dims": [100, 100]}),
}


@contextmanager
def timed_evaluations() -> Iterator[list[float]]:
    """The seconds of each epoch's end at `Evaluation`."""
    seconds: list[float] = []
    evaluate = Evaluation.on_train_epoch_end

    def timed(self: Evaluation, *given: Any) -> None:
        began = time.perf_counter()
        evaluate(self, *given)
        seconds.append(time.perf_counter() - began)

    with patch.object(Evaluation, "on_train_epoch_end", timed):
        yield seconds


def trained(case: str, epochs: int, every: int) -> tuple[float, float]:
    """Training seconds of a run of so many epochs a phase, and how many of them are `Evaluation`'s."""
    method, data, settings = CASES[case]
    lean = LEAN | {"trainer__accelerator": "cpu", "evaluate_every": every, "max_phase_epochs": epochs}
    config = compose_config(method, settings | lean, data)
    with tempfile.TemporaryDirectory() as folder, timed_evaluations() as seconds:
        report = fit(config, str(Path(folder, "run")))
    return sum(report["seconds"][name] for name, n in report["phases"].items() if n), sum(seconds)


def measured(case: str, repeats: int, epochs: int) -> dict[str, list[float]]:
    """Of a case: with and without evaluations in turn, after a run that is not counted."""
    trained(case, 2, 1)
    pairs = [(trained(case, epochs, 10), trained(case, epochs, 0)) for _ in range(repeats)]
    return {
        "ratio": spread([evaluated[0] / bare[0] for evaluated, bare in pairs]),
        "share": spread([evaluated[1] / evaluated[0] for evaluated, _ in pairs]),
        "seconds": spread([evaluated[0] for evaluated, _ in pairs]),
    }


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(prog="python -m experiments.evaluations", description=__doc__.partition("\n")[0])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=30, help="of each phase")
    parser.add_argument("--cases", nargs="*", choices=list(CASES), default=list(CASES))
    parser.add_argument("--out", type=Path, default=HOME / "experiments" / "results" / "evaluations.json")
    given = parser.parse_args()
    found: dict[str, Any] = {"processor": processor(), "repeats": given.repeats, "epochs": given.epochs}
    for case in given.cases:
        found[case] = measured(case, given.repeats, given.epochs)
        print(case, found[case], flush=True)
    given.out.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
