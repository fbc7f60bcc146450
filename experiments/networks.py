"""What each of DMIM's networks came to: whether agreement tells the good ones, on samples it has seen or on others.

    python -m cmc.run method=dmim method.halvings=[] +callbacks.networks._target_=experiments.networks.Networks

The callback writes ``networks.csv`` into the run's folder when the phase ``train`` ends. Labels are read to score the
networks, after the choice among them is made. `experiments.study` runs it on the development sets.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pytorch_lightning import Callback, Trainer
from scipy.stats import spearmanr

from cmc.functional.agreement import concordance, label_free
from cmc.methods.dmim import DMIM
from cmc.metrics import ClusteringScores

NAME = "networks.csv"
MEASURES = {
    "held-out agreement": lambda row: float(row["agreement_held_out"]),
    "held-out quality": lambda row: float(row["quality"]),
    "x concordance": lambda row: float(row["quality"]) * float(row["concordance"]),
    "agreement trained on": lambda row: float(row["agreement"]),
}


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
    for r in method.choice.running:
        view, scores = method._view[r], ClusteringScores(method.n_clusters, data.n_classes)
        for batch in data.pass_over():
            assigned = method.networks.assign(r, list(method.front(batch.modalities, view))).mean(0)
            scores.update(assigned.argmax(1), data.labels[batch.index])
        found = {key: float(value) for key, value in scores.compute().items()}
        unseen = tables.unseen[r].cpu()
        judged = {"quality": label_free(unseen)["quality"], "concordance": concordance(unseen)}
        agreed = [label_free(table)["agreement"] for table in (tables.hard[r].cpu(), unseen)]
        row = {"candidate": view, "network": r, "agreement": agreed[0], "agreement_held_out": agreed[1], **judged}
        rows.append({**row, "acc": found["acc"], "nmi": found["nmi"]})
    return rows


def gathered(folders: Iterable[Path]) -> list[dict[str, str]]:
    """The rows of runs, by data set: the name of the folder that a run's folder lies in."""
    rows = []
    for folder in folders:
        if (path := folder / NAME).exists():
            with path.open(newline="") as file:
                rows += [{"data": folder.parent.name, "seed": folder.name, **row} for row in csv.DictReader(file)]
    return rows


def correlations(rows: Sequence[Mapping[str, str]]) -> str:
    """A Markdown table: Spearman's correlation of NMI with what networks can be judged by, over those of a data set."""
    lines = [f"| data | networks | {' | '.join(MEASURES)} |", "|---" * (2 + len(MEASURES)) + "|"]
    for data in dict.fromkeys(row["data"] for row in rows):
        of = [row for row in rows if row["data"] == data]
        nmi = [float(row["nmi"]) for row in of]
        told = [spearmanr([measure(row) for row in of], nmi)[0] for measure in MEASURES.values()]
        lines.append(f"| {data} | {len(of)} | {' | '.join(f'{value:.2f}' for value in told)} |")
    return "\n".join(lines) + "\n"
