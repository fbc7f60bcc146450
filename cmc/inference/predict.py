"""The table of a trained model's assignments of samples."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from cmc.inference.inputs import Incoming
from cmc.inference.trained import Trained
from cmc.runs.tables import assignments, table


def predict(
    trained: Trained, data: Incoming, out: Path, probabilities: bool, advance: Callable[[int], None] = lambda rows: None
) -> None:
    """Write a row a sample: index, cluster, confidence, label if known, a probability a cluster if asked for.

    Args:
        trained: the model.
        data: the samples.
        out: a file that ends in ``.csv`` or ``.parquet``.
        probabilities: write ``probability_0`` and so on.
        advance: told the number of rows after every batch.
    """
    with table(out) as append:
        for batch, assignment in trained.assign(data.features):
            assignment = assignment.float().cpu()
            confidence, cluster = assignment.max(1)
            names = None
            if data.labels is not None and data.classes is not None:
                names = [data.classes[label] for label in data.labels[batch.index.numpy()]]
            columns = assignments(batch.index.tolist(), cluster.tolist(), confidence.tolist(), names)
            if probabilities:
                columns |= {f"probability_{k}": p.tolist() for k, p in enumerate(assignment.unbind(1))}
            append(columns)
            advance(batch.size)
