"""What each of DMIM's networks came to: whether agreement tells the good ones, on samples it has seen or on others.

    python -m cmc.run method=dmim method.halvings=[] data=... +callbacks.networks._target_=experiments.networks.Networks
    python -m experiments.networks results/networks.csv FOLDER...

The callback writes ``networks.csv`` into the run's folder when the phase ``train`` ends; the second command gathers
these files below the folders into one, and prints for each data set Spearman's correlation of both agreements with NMI.
Labels are read to score the networks, after the choice among them is made.
"""

from __future__ import annotations

import argparse
import csv
import json
from pathlib import Path
from typing import Any

from pytorch_lightning import Callback, Trainer
from scipy.stats import spearmanr

from cmc.functional.agreement import label_free
from cmc.methods.dmim import DMIM
from cmc.metrics import ClusteringScores

NAME = "networks.csv"
COLUMNS = ("method", "data", "seed", "candidate", "network", "agreement", "agreement_held_out", "quality", "acc", "nmi")


class Networks(Callback):
    """Write a row a network at the end of the phase ``train``."""

    def on_train_epoch_end(self, trainer: Trainer, pl_module: Any) -> None:
        """Measure, when the phase ends."""
        phase, epoch = pl_module.schedule.at(trainer.current_epoch)
        if phase.name != "train" or epoch + 1 < phase.epochs:
            return
        with pl_module.evaluating():
            rows = measured(pl_module, trainer.datamodule)  # type: ignore[attr-defined]
        with (Path(trainer.default_root_dir) / NAME).open("w", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)


def measured(method: DMIM, data: Any) -> list[dict[str, float]]:
    """The rows: agreement on samples trained on and on those set aside, ACC and NMI of all training samples."""
    tables = method._choose(data.pass_over())
    rows = []
    for r, view in enumerate(method._view):
        scores = ClusteringScores(method.n_clusters, data.n_classes)
        for batch in data.pass_over():
            assigned = method.networks.assign(r, list(method.front(batch.modalities, view))).mean(0)
            scores.update(assigned.argmax(1), data.labels[batch.index])
        found = {key: float(value) for key, value in scores.compute().items()}
        seen, unseen = label_free(tables.hard[r].cpu()), label_free(tables.unseen[r].cpu())
        agreed = {"agreement": seen["agreement"], "agreement_held_out": unseen["agreement"]}
        row = {"candidate": view, "network": r, **agreed, "quality": unseen["quality"]}
        rows.append({**row, "acc": found["acc"], "nmi": found["nmi"]})
    return rows


def gathered(folders: list[Path]) -> list[dict[str, Any]]:
    """The rows of all runs below the folders, with what the run was of."""
    rows = []
    for path in sorted(path for folder in folders for path in folder.rglob(NAME)):
        run = json.loads((path.parent / "metrics.json").read_text())
        names = {key: run[key] for key in ("method", "data", "seed")}
        with path.open(newline="") as file:
            rows += [{**names, **row} for row in csv.DictReader(file)]
    return rows


def correlations(rows: list[dict[str, Any]]) -> str:
    """A Markdown table: Spearman's correlation of NMI with both agreements, over all networks of a data set."""
    lines = ["| data | networks | held-out agreement | agreement trained on |", "|---|---|---|---|"]
    for data in dict.fromkeys(row["data"] for row in rows):
        of = [row for row in rows if row["data"] == data]
        columns = {key: [float(row[key]) for row in of] for key in ("nmi", "agreement_held_out", "agreement")}
        told = [spearmanr(columns[key], columns["nmi"])[0] for key in ("agreement_held_out", "agreement")]
        lines.append(f"| {data} | {len(of)} | {told[0]:.2f} | {told[1]:.2f} |")
    return "\n".join(lines)


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("folders", type=Path, nargs="+")
    given = parser.parse_args()
    rows = gathered(given.folders)
    with given.out.open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    print(correlations(rows))


if __name__ == "__main__":
    main()
