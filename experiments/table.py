"""Collect finished runs into one CSV and print mean ± standard deviation a method and data set.

    python experiments/table.py OUT.csv FOLDER...

Every ``metrics.json`` below the folders is one run; what follows a ``+`` in the name of the folder that holds runs is
their variant: ``multirun/digits+noise0``. Beside the scores stand measures that need no labels: the modalities'
agreement and balance, and the mean ARI between the clusterings of two seeds.
"""

from __future__ import annotations

import csv
import json
import sys
from collections import defaultdict
from itertools import combinations
from pathlib import Path
from statistics import mean, stdev

from sklearn.metrics import adjusted_rand_score

SCORES = ("acc", "nmi", "ari", "purity")


def runs(folders: list[Path]) -> list[dict[str, object]]:
    """One row a finished run, ordered by method, data and seed."""
    rows = []
    for path in sorted(file for folder in folders for file in folder.rglob("metrics.json")):
        report = json.loads(path.read_text())
        name = Path(report["features"]["source"].split(" (")[0]).stem if report["data"] == "files" else report["data"]
        rows.append(
            {
                "method": report["method"],
                "data": name,
                "variant": path.parents[1].name.partition("+")[2],
                "seed": report["seed"],
                "epochs": sum(report["phases"].values()),
                **{key: report["scores"][key] for key in SCORES},
                **label_free(path, report),
                "seconds": report["seconds"]["total"],
                "peak_memory_mib": report["peak_memory_mib"],
                "device": report["device"],
                "precision": report["precision"],
                "git_commit": report["git_commit"],
                "clusters": clusters(path.with_name("assignments.csv")),
            }
        )
    return sorted(rows, key=lambda row: (row["method"], row["data"], row["variant"], row["seed"]))


def label_free(path: Path, report: dict) -> dict[str, float]:
    """Agreement and balance: of ``metrics.json``, or of the history's last row, where earlier versions wrote them."""
    measured = report.get("label_free")
    if measured is None:
        with path.with_name("history.csv").open(newline="") as file:
            measured = list(csv.DictReader(file))[-1]
    return {key: float(measured.get(key) or "nan") for key in ("agreement", "balance")}


def clusters(path: Path) -> list[int]:
    """The clusters of all samples, in order."""
    with path.open(newline="") as file:
        return [int(row["cluster"]) for row in csv.DictReader(file)]


def table(rows: list[dict[str, object]]) -> str:
    """Markdown: a line for every method, data set and length of run."""
    groups = defaultdict(list)
    for row in rows:
        groups[row["data"], row["method"], row["variant"]].append(row)
    titles = ["data", "method", "epochs", "ACC", "NMI", "ARI", "agreement", "balance", "ARI of two seeds", "runs"]
    lines = [f"| {' | '.join(titles)} |", "|---" * len(titles) + "|"]
    for (data, method, variant), group in groups.items():
        cells = [spread([row[key] for row in group]) for key in ("acc", "nmi", "ari")]
        cells += [f"{mean(row[key] for row in group):.2f}" for key in ("agreement", "balance")]
        pairs = [adjusted_rand_score(a["clusters"], b["clusters"]) for a, b in combinations(group, 2)]
        name = f"{method}, {variant}" if variant else method
        cells += [f"{mean(pairs):.2f}" if pairs else "", str(len(group))]
        lines.append(f"| {data} | {name} | {group[0]['epochs']} | {' | '.join(cells)} |")
    return "\n".join(lines)


def spread(values: list[float]) -> str:
    """``mean ± standard deviation``; the values themselves when they are too few for that."""
    if len(values) < 5:
        return ", ".join(f"{value:.3f}" for value in values)
    return f"{mean(values):.3f} ± {stdev(values):.3f}"


def main() -> None:
    """Write the CSV, print the table."""
    out, *folders = map(Path, sys.argv[1:])
    rows = runs(folders)
    with out.open("w", newline="") as file:
        writer = csv.DictWriter(file, [key for key in rows[0] if key != "clusters"], extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)
    print(table(rows))


if __name__ == "__main__":
    main()
