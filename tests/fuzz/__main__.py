"""``python -m tests.fuzz [--minutes M] [--tries N] [TARGET ...]``: fuzz the readers, print what came of it."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

import atheris
import pytorch_lightning  # noqa: F401 - before the hook below, which would make its import ten times slower
import sklearn.decomposition
import sklearn.feature_extraction.text
import sklearn.metrics  # noqa: F401

with atheris.instrument_imports(include=["cmc"], enable_loader_override=False):
    from tests.fuzz.targets import TARGETS

from tests.fuzz.guided import Outcome, fuzz

_ROW = "{:<22}{:>10}{:>12}{:>9}{:>8}{:>8}{:>11}"


def main() -> int:
    """Fuzz; the status tells whether anything was found."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description="Fuzz the readers.")
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=f"default: all of {', '.join(TARGETS)}")
    parser.add_argument("--minutes", type=float, default=10, help="for each target (default: 10)")
    parser.add_argument("--tries", type=int, default=-1, help="at most, for each target")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--work", type=Path, help="folder for corpora and findings, kept")
    options = parser.parse_args()
    if unknown := set(options.targets) - TARGETS.keys():
        parser.error(f"no target {min(unknown)}; there are {', '.join(TARGETS)}")
    memory = Path("/dev/shm")
    work = options.work or Path(tempfile.mkdtemp(prefix="cmc-fuzz-", dir=memory if memory.is_dir() else None))
    print(_ROW.format("reader", "inputs", "branches", "crashes", "apart", "hangs", "memory MiB"), flush=True)
    outcomes = {}
    for name in options.targets or TARGETS:
        budget = {"seconds": 60 * options.minutes, "tries": options.tries, "seed": options.seed}
        outcomes[name] = outcome = fuzz(name, TARGETS[name], work, **budget)
        hangs = outcome.deaths("timeout")
        grown = f"{outcome.begun_with}-{outcome.coverage}"
        deaths = (len(outcome.findings) - hangs, outcome.apart, hangs)
        print(_ROW.format(name, outcome.tried, grown, *deaths, f"+{outcome.growth_mib:.0f}"), flush=True)
    _tell(outcomes)
    return int(any(outcome.findings for outcome in outcomes.values()))


def _tell(outcomes: dict[str, Outcome]) -> None:
    tried = sum(outcome.tried for outcome in outcomes.values())
    found = {(name, key): path for name, outcome in outcomes.items() for key, path in outcome.findings.items()}
    print(f"{len(outcomes)} readers, {tried} inputs, {len(found)} findings")
    for (name, signature), path in found.items():
        print(f"{name}: {signature}: {path}", file=sys.stderr)
        if (told := path.with_name(f"{path.name}.json")).exists():
            print(json.loads(told.read_text())["text"], file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
