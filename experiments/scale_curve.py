"""The curve of docs/scaling.md, drawn from ``results/scale.csv``: ``python -m experiments.scale_curve``."""

from __future__ import annotations

import csv
from collections import defaultdict
from pathlib import Path

from cmc.figures.style import BLUE, GREY, ORANGE, PAGE, blank, save, styled

HOME = Path(__file__).resolve().parents[1]
PER_SAMPLE = 64  # bytes that memory may grow by


@styled
def draw(rows: list[dict[str, str]], path: Path) -> None:
    """Seconds and memory by the number of samples.

    Args:
        rows: of ``results/scale.csv``.
        path: of the picture, without its ending.
    """
    curves: dict[str, list[tuple[int, float, float]]] = defaultdict(list)
    for row in rows:
        curves[row["method"]].append((int(row["samples"]), float(row["seconds"]), float(row["bytes"]) / 2**20))
    figure = blank(PAGE, 2.4)
    time, memory = figure.subplots(1, 2)
    for colour, (method, points) in zip((BLUE, ORANGE), curves.items(), strict=True):
        n, seconds, mib = zip(*points, strict=True)
        taken = [x for x in zip(n, seconds, strict=True) if x[1] > 0.05]  # what remains of smaller ones is noise
        time.plot(*zip(*taken, strict=True), "o-", color=colour, label=method)
        memory.plot(n, mib, "o-", color=colour, label=method)
    most, slowest = max(n), max(points[-1][1] for points in curves.values())
    time.plot([most / 1e3, most], [slowest / 1e3, slowest], ":", color=GREY, label="proportional to N")
    floor = min(points[0][2] for points in curves.values())
    sizes = [10 ** (4 + i / 20) for i in range(61)]
    memory.plot(sizes, [floor + PER_SAMPLE * x / 2**20 for x in sizes], ":", color=GREY, label="64 bytes a sample")
    time.set(xscale="log", yscale="log", xlabel="samples", ylabel="seconds")
    memory.set(xscale="log", xlabel="samples", ylabel="peak memory, MiB", ylim=(0, None))
    for axes in (time, memory):
        axes.legend()
    save(figure, path, ["png"])


if __name__ == "__main__":
    with (HOME / "experiments" / "results" / "scale.csv").open(newline="") as file:
        draw(list(csv.DictReader(file)), HOME / "docs" / "pictures" / "scale")
