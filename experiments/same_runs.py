"""Whether two commits train alike, to the bit: digests of what short runs of every method end with.

In a checkout of each of them, with this file (it needs the command line alone)::

    python -m experiments.same_runs before.json
    python -m experiments.same_runs after.json --against before.json

Every method trains on digits and synthetic for 3 epochs a phase, on one process and, where it may, on two; one of
CMMC has 40. The digests are of ``assignments.csv`` (clusters and confidences) and ``embeddings.npy``. The same machine
must make both.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from hashlib import blake2b
from pathlib import Path

_TRAINED = ("cmmc", "cmmc_released", "dmim", "dmim_released")
_BASELINES = ("kmeans", "spectral", "cca", "agglomerative", "gmm")
_COMMON = ("trainer.accelerator=cpu", "callbacks.figures=null", "callbacks.progress=null")
_FILES = ("assignments.csv", "embeddings.npy")


def main() -> None:
    """Run, write the digests, compare."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("out", type=Path, help="JSON file to write")
    parser.add_argument("--against", type=Path, help="JSON file of another commit")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = digests(Path(folder))
    options.out.write_text(json.dumps(found, indent=2) + "\n")
    if options.against:
        before = json.loads(options.against.read_text())
        differing = sorted(key for key in before.keys() | found.keys() if before.get(key) != found.get(key))
        print(f"{len(found)} files, {len(differing)} differ", *differing, sep="\n  ")
        sys.exit(bool(differing))


def digests(folder: Path) -> dict[str, str]:
    """File of a run -> its digest.

    Args:
        folder: to run in.
    """
    for n, methods in ((1, (*_TRAINED, *_BASELINES)), (2, _TRAINED)):
        sweep = ("-m", f"method={','.join(methods)}", "data=digits,synthetic", "max_phase_epochs=3")
        _run(*sweep, f"trainer.devices={n}", f"hydra.sweep.dir={folder / str(n)}")
    _run("max_phase_epochs=40", f"hydra.run.dir={folder / 'long'}")
    runs = sorted(path.parent for path in folder.rglob("metrics.json"))
    return {str((run / name).relative_to(folder)): _digest(run / name) for run in runs for name in _FILES}


def _run(*arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "cmc.run", *arguments, *_COMMON], check=True, stdout=sys.stderr)


def _digest(path: Path) -> str:
    return blake2b(path.read_bytes(), digest_size=16).hexdigest() if path.exists() else "none"


if __name__ == "__main__":
    main()
