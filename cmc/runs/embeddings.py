"""``embeddings.npy`` and ``embeddings_holdout.npy`` of a run folder, and ``ids.txt``. Light: imports no torch."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from cmc.runs.folder import damaged
from cmc.utils.atomic import atomic_write
from cmc.utils.safe_read import read_errors

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

PROJECTIONS = {"pca": "two principal components", "tsne": "t-SNE", "umap": "UMAP"}  # to two dimensions, by name


def read_embeddings(run: Path, part: str = "", what: str | None = None) -> NDArray[np.float32] | None:
    """N x D, mapped into memory; None where the run wrote none.

    Args:
        run: the folder.
        part: one of `cmc.runs.folder.PARTS`.
        what: opens the message about a damaged file.

    Raises:
        UserError: the file cannot be read, or holds no such array.
    """
    import numpy as np

    path = run / f"embeddings{part}.npy"
    if not path.exists():
        return None
    with read_errors(what or damaged(path), path):
        array: NDArray[np.float32] = np.load(path, mmap_mode="r", allow_pickle=False)
        if array.ndim != 2 or array.dtype != np.float32:
            raise ValueError(f"{array.ndim}-d {array.dtype} in the place of 2-d float32")
    return array


def write_ids(run: Path, ids: Iterable[str], part: str = "") -> None:
    """Write ``ids.txt``: the id of each row of ``embeddings.npy``, one a line."""
    with atomic_write(run / f"ids{part}.txt") as path, path.open("w", encoding="utf-8") as file:
        file.writelines(f"{' '.join(str(each).split())}\n" for each in ids)
