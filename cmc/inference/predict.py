"""The table of a trained model's assignments of samples."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from cmc.data.modalities import UNLABELLED
from cmc.functional.decisions import decide
from cmc.inference.inputs import Incoming
from cmc.inference.trained import Trained
from cmc.runs.names import Edits
from cmc.runs.tables import assignments, table

NOTHING = Edits()


def predict(
    trained: Trained,
    data: Incoming,
    out: Path,
    probabilities: bool,
    edits: Edits = NOTHING,
    advance: Callable[[int], None] = lambda rows: None,
) -> None:
    """Write a row a sample as `assignments` has them, with probabilities if asked for.

    Args:
        trained: the model.
        data: the samples.
        out: a file that ends in ``.csv`` or ``.parquet``.
        probabilities: write ``probability_0`` and so on.
        edits: the names that a person gave the clusters, which become the column ``name``.
        advance: told the number of rows after every batch.
    """
    with table(out) as append:
        for batch, assignment, each in trained.assign(data.features):
            decided = decide(assignment, each, batch.present, trained.temperature)
            labels, index = None, batch.index.tolist()
            if data.labels is not None and data.classes is not None:
                labels = ["" if k == UNLABELLED else data.classes[k] for k in data.labels[index]]
            texts = (None if of is None else [str(of[row]) for row in index] for of in (data.ids, data.captions))
            columns = dict(assignments(index, *decided.columns(trained.method.modalities), labels, *texts))
            if edits.names:
                columns["name"] = [edits.name(k) for k in columns["cluster"]]
            if probabilities:
                columns |= {f"probability_{k}": p.tolist() for k, p in enumerate(assignment.float().cpu().unbind(1))}
            append(columns)
            advance(batch.size)
