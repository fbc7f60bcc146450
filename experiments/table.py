"""Collect finished runs into one CSV and print mean ± standard deviation a method and data set.

    python experiments/table.py OUT.csv FOLDER...

Every ``metrics.json`` below the folders is one run.
"""

from __future__ import annotations

import csv
import json
import sys
from collections import defaultdict
from pathlib import Path
from statistics import mean, stdev

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
                "seed": report["seed"],
                "epochs": sum(report["phases"].values()),
                **{key: report["scores"][key] for key in SCORES},
                "seconds": report["seconds"]["total"],
                "peak_memory_mib": report["peak_memory_mib"],
                "device": report["device"],
                "precision": report["precision"],
                "git_commit": report["git_commit"],
            }
        )
    return sorted(rows, key=lambda row: (row["method"], row["data"], row["epochs"], row["seed"]))


def table(rows: list[dict[str, object]]) -> str:
    """Markdown: a line for every method, data set and length of run."""
    groups = defaultdict(list)
    for row in rows:
        groups[row["method"], row["data"], row["epochs"]].append(row)
    lines = ["| method | data | epochs | ACC | NMI | ARI | runs | seconds |", "|---|---|---|---|---|---|---|---|"]
    for (method, data, epochs), group in groups.items():
        cells = [spread([row[key] for row in group]) for key in ("acc", "nmi", "ari")]
        seconds = mean(row["seconds"] for row in group)
        lines.append(f"| {method} | {data} | {epochs} | {' | '.join(cells)} | {len(group)} | {seconds:.0f} |")
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
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    print(table(rows))


if __name__ == "__main__":
    main()
