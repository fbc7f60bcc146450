"""What one run has found, read from its folder: clusters of all samples, and what each modality alone says."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from cmc.errors import UserError
from cmc.runs.assignments import Assignments, read_assignments
from cmc.runs.embeddings import read_embeddings
from cmc.runs.report import read_report

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Found(NamedTuple):
    """A run's clusters.

    Attributes:
        rows: (N,) row numbers of all samples, ascending.
        clusters: (N,) their clusters.
        own: M x B, the clusters of the held-out samples by each modality alone, of all samples where none are held
            out; None where nothing tells them.
        silhouette: in the run's embedding; None where there is none.
        ari: against labels; None without them. For looking at: it chooses nothing.
        folder: of the run.
        unseen: whether ``own`` is of samples that training has not seen.
    """

    rows: NDArray[np.int64]
    clusters: NDArray[np.int64]
    own: NDArray[np.int64] | None
    silhouette: float | None
    ari: float | None
    folder: Path
    unseen: bool


def read_found(folder: Path) -> tuple[Found, str]:
    """Read a finished run, and the fingerprint of its data.

    Raises:
        UserError: its files are damaged.
    """
    import numpy as np

    report = read_report(folder)
    train, held = read_assignments(folder), read_assignments(folder, "_holdout")
    if train is None:
        raise UserError(f"{folder}: has no assignments.csv; remove the folder, and run the command again")
    parts = [train] if held is None else [train, held]
    rows = np.concatenate([part.index for part in parts])
    order = np.argsort(rows)
    clusters = np.concatenate([part.cluster for part in parts])[order]
    own = _own(folder, list(report["features"]["dims"].values()), train, held)
    silhouette = report.get("label_free", {}).get("silhouette")
    ari = report["scores"]["ari"] if report["scores"] else None
    found = Found(rows[order], clusters, own, silhouette, ari, folder, held is not None)
    return found, str(report["features"]["fingerprint"])


def _own(folder: Path, widths: list[int], train: Assignments, held: Assignments | None) -> NDArray[np.int64] | None:
    import numpy as np

    shown = train if held is None else held
    if shown.own:
        return np.stack(list(shown.own.values()))
    fitted, asked = read_embeddings(folder), read_embeddings(folder, "" if held is None else "_holdout")
    if fitted is None or asked is None or fitted.shape[1] != sum(widths):
        return None
    return nearest_means(np.asarray(fitted), train.cluster, np.asarray(asked), widths)


def nearest_means(
    fitted: NDArray[np.float32], clusters: NDArray[np.int64], asked: NDArray[np.float32], widths: list[int]
) -> NDArray[np.int64]:
    """Every modality's own clusters, for clusterings of the features side by side, which have none themselves.

    That of a sample is the cluster whose mean over the training samples lies nearest in the modality's features alone.

    Args:
        fitted: N x D features of the training samples, modality beside modality.
        clusters: (N,) theirs.
        asked: B x D, of the samples in question.
        widths: of the modalities, of sum D.

    Returns:
        M x B.
    """
    import numpy as np

    starts, names = np.cumsum(widths)[:-1], np.unique(clusters)
    means = np.stack([fitted[clusters == k].mean(0, dtype=np.float64) for k in names])
    each = zip(np.split(asked.astype(np.float64), starts, 1), np.split(means, starts, 1), strict=True)
    return np.stack([names[((c**2).sum(1) - 2 * x @ c.T).argmin(1)] for x, c in each])
