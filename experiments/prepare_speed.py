"""Time and peak memory of ``cmc.prepare`` at the size of the whole NUS-WIDE: its tags and low-level features.

    python experiments/prepare_speed.py FOLDER [N]

Writes generated files of the distribution's layout and size (about 3.5 GB for N = 269,648) to FOLDER/raw, prepares them
with ``data.subset=full``, and prints seconds and the largest resident memory of that process.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

WIDTHS = {"CH": 64, "CORR": 144, "EDH": 73, "WT": 128, "CM55": 225}
BLOCK = 500


def write(path: Path, n: int, width: int, kind: str) -> None:
    """N lines of ``width`` numbers: a block of random lines, over and over."""
    rng = np.random.default_rng(width)
    rows = rng.random((BLOCK, width)) if kind == "f" else rng.integers(0, 2, (BLOCK, width))
    pattern = "{:.6g}" if kind == "f" else "{:d}"
    lines = [" ".join(pattern.format(x) for x in row) + " \n" for row in rows]
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        for start in range(0, n, BLOCK):
            file.writelines(lines[: min(BLOCK, n - start)])


def main() -> None:
    """Generate, prepare, print."""
    folder, n = Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 269_648
    raw = folder / "raw"
    names = [f"folder{i % 704}\\{i:06d}.jpg  \n" for i in range(n)]
    (raw / "ImageList").mkdir(parents=True)
    (raw / "ImageList/Imagelist.txt").write_text("".join(names))
    for concept in range(81):
        write(raw / f"Groundtruth/AllLabels/Labels_concept{concept}.txt", n, 1, "i")
    for name, width in WIDTHS.items():
        write(raw / f"Low_Level_Features/Normalized_{name}.dat", n, width, "f")
    write(raw / "Low_Level_Features/BoW_int.dat", n, 500, "i")
    write(raw / "NUS_WID_Tags/AllTags1k.txt", n, 1000, "i")
    size = sum(path.stat().st_size for path in raw.rglob("*") if path.is_file())
    began = time.monotonic()
    arguments = ["data=nuswide", f"data.raw={raw}", f"data.root={folder}/out", "data.subset=full"]
    subprocess.run([sys.executable, "-m", "cmc.prepare", *arguments], check=True)
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    print(f"{n} samples, {size / 1e9:.2f} GB of text: {time.monotonic() - began:.0f} s, {peak:.0f} MiB")


if __name__ == "__main__":
    main()
