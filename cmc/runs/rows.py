"""What a run found of every sample, be it trained on or held out, in the order of the data."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cmc.errors import UserError
from cmc.runs.assignments import read_assignments
from cmc.runs.embeddings import read_embeddings
from cmc.runs.folder import PARTS


def read_rows(run: Path) -> tuple[NDArray[np.int64], NDArray[np.float32] | None]:
    """Clusters and embeddings of all samples, held-out ones included, in the order of the data.

    Returns:
        N clusters, and N x D; None in place of these where the run wrote none.

    Raises:
        UserError: a file cannot be read, or they do not belong together.
    """
    tables = {part: table for part in PARTS if (table := read_assignments(run, part)) is not None}
    blocks = {part: block for part in PARTS if (block := read_embeddings(run, part)) is not None}
    if not tables:
        raise UserError(f"{run}: has no assignments.csv; train again")
    order = np.concatenate([table.index for table in tables.values()]).argsort()
    clusters = np.concatenate([table.cluster for table in tables.values()])
    if blocks and sum(map(len, blocks.values())) != len(clusters):
        part, other = next(iter(blocks)), next(iter(tables))
        raise UserError(
            f"{run}/embeddings{part}.npy: not as many rows as in assignments{other}.csv; damaged? train again"
        )
    return clusters[order], np.concatenate(list(blocks.values()))[order] if blocks else None
