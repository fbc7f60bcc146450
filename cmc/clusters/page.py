"""``gallery.html``: the clusters of a run in one page, to be looked at, searched, named and put right."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from cmc.clusters import pictures
from cmc.clusters.described import Described
from cmc.clusters.means import MOST, feature_means
from cmc.clusters.places import neighbours
from cmc.clusters.samples import Samples
from cmc.errors import UserError
from cmc.figures import project
from cmc.runs.embeddings import PROJECTIONS
from cmc.runs.folder import GALLERY
from cmc.runs.matching import confusion_counts
from cmc.runs.names import FORMAT, mark
from cmc.utils.arrays import spaced
from cmc.utils.progress import Step
from cmc.webpage.document import encode, plotly_source, write_document

_SCRIPTS = ("data.js", "edits.js", "members.js", "cards.js", "opened.js", "dialog.js", "map.js", "main.js")
_MEMBERS = 100_000  # in the page; of more, evenly spaced ones
_COMPARED = 60_000  # samples up to which neighbours are looked for: seconds grow with the square
_LETTERS = 1000  # of a caption
_POINTS = 2000  # on the map


class Told(NamedTuple):
    """What the page says of its run.

    Attributes:
        title: such as ``dmim on emoji, seed 0``.
        facts: lines of the footer, by name.
        credits: whose pictures these are; empty where nothing is said.
    """

    title: str
    facts: Mapping[str, str]
    credits: str = ""


def check_installed() -> None:
    """Refuse to go on without the packages that the page needs.

    Raises:
        UserError: one is not there.
    """
    plotly_source(GALLERY, "gallery")
    pictures.check_pillow()


def write_gallery(
    path: Path,
    described: Described,
    told: Told,
    projection: str,
    advance: Step,
    begin: Step,
    features: Mapping[str, NDArray[Any]] | None = None,
) -> list[str]:
    """Write the page, and sheets of pictures beside it where there are more than it can hold.

    Args:
        path: of the page; the sheets' folder has its name, ending in ``_files``.
        described: the samples.
        told: what it says of its run.
        projection: of the map: ``tsne``, ``umap`` or ``pca``.
        advance: called with a bar's name and how much is done.
        begin: called with a bar's name and how much there is to do.
        features: modality -> N x d, for data without pictures and texts; None where they are not at hand.

    Returns:
        Lines on what could not be shown.
    """
    plotly = plotly_source(GALLERY, "gallery")
    chosen = spaced(len(described.samples), _MEMBERS)
    shown = described.samples if len(chosen) == len(described.samples) else described.samples.at(chosen)
    order = np.lexsort((-described.typical[chosen], shown.cluster))
    begin("map", 1)
    blocks = {"map-data": encode(_map(shown, projection)), "confusion-data": encode(_confusion(described.samples))}
    near = neighbours(shown.embeddings) if shown.embeddings is not None and len(shown) <= _COMPARED else None
    blocks["near"] = encode(None if near is None else near.tolist())
    blocks["means"] = encode(None if features is None else _means(described, features))
    advance("map", 1)
    small = _thumbnails(path, shown, order, advance, begin)
    main = _main(described, shown, told, described.typical[chosen]) | _pictured(path, small, order)
    texts = small.texts if small is not None else []
    blocks = {"gallery": encode(main), "pictures": encode(texts), **blocks}
    write_document(
        path,
        "cmc.clusters",
        ["gallery.css"],
        _SCRIPTS,
        blocks,
        plotly,
        "'self' file:" if small is not None and small.sheets else "",
    )
    return [_lost_text(main["lost"], shown)] if main["lost"] else []


def _thumbnails(
    path: Path, shown: Samples, order: NDArray[np.intp], advance: Step, begin: Step
) -> pictures.Thumbnails | None:
    """Small pictures in the given order, in the page or beside it; None where there are none."""
    if shown.pictures is None:
        return None
    pictures.check_pillow()
    paths = [shown.pictures[i] for i in order.tolist()]
    begin("pictures", len(paths))
    if len(paths) <= pictures.EMBEDDED:
        return pictures.embedded(paths, lambda n: advance("pictures", n))
    return pictures.sheets(paths, sheets_folder(path), lambda n: advance("pictures", n))


def _pictured(path: Path, small: pictures.Thumbnails | None, order: NDArray[np.intp]) -> dict[str, Any]:
    """Where the page finds its pictures, and why some are not there."""
    if small is None:
        return {"pictures": None, "lost": {}, "place": None}
    about = {"columns": pictures.COLUMNS, "sheets": small.sheets, "folder": sheets_folder(path).name}
    lost = {int(order[i]): why for i, why in small.lost.items()}
    return {"pictures": about, "lost": lost, "place": np.argsort(order).tolist()}


def sheets_folder(path: Path) -> Path:
    """The folder of a page's sheets."""
    return path.with_name(f"{path.stem}_files")


def _main(described: Described, shown: Samples, told: Told, typical: NDArray[np.float32]) -> dict[str, Any]:
    """What the page begins with."""
    of, edits = described.samples, described.edits
    labels, codes = (None, None) if shown.label is None else np.unique(shown.label, return_inverse=True)
    return {
        "format": FORMAT,
        "run": mark(of.cluster),
        "title": told.title,
        "facts": dict(told.facts),
        "credits": told.credits,
        "total": len(of),
        "clusters": _clusters(described),
        "edits": {
            "names": edits.names, "merged": edits.merged, "moved": edits.moved, "wrong": edits.wrong
        },
        "row": shown.row.tolist(),
        "id": None if shown.id is None else shown.id.tolist(),
        "caption": None if shown.caption is None else [_cut(text) for text in shown.caption.tolist()],
        "cluster": shown.cluster.tolist(),
        "confidence": _numbers(shown.confidence),
        "calibrated": None if shown.calibrated is None else _numbers(shown.calibrated),
        "margin": None if shown.margin is None else _numbers(shown.margin),
        "own": {name: own.tolist() for name, own in shown.own.items()},
        "labels": None if labels is None else labels.tolist(),
        "label": None if codes is None else codes.tolist(),
        "typical": _numbers(typical),
    }  # fmt: skip


def _clusters(described: Described) -> list[dict[str, Any]]:
    agreement = described.agreement
    return [
        {
            "called": name,
            "size": size,
            "terms": [] if described.terms is None else [list(term) for term in described.terms[k]],
            "confidence": _number(described.confidence[k]),
            "agreement": None if agreement is None else _number(agreement[k]),
        }
        for k, (name, size) in enumerate(zip(described.names, described.size.tolist(), strict=True))
    ]


def _map(shown: Samples, projection: str) -> dict[str, Any] | None:
    """Evenly spaced samples in two dimensions."""
    if shown.embeddings is None:
        return None
    chosen = spaced(len(shown), _POINTS)
    block = np.asarray(shown.embeddings[chosen])
    if not np.isfinite(block).all():
        return None
    x, y = project(block, projection).T
    return {"by": PROJECTIONS[projection], "at": chosen.tolist(), "x": _numbers(x), "y": _numbers(y)}


def _confusion(of: Samples) -> dict[str, Any] | None:
    if of.label is None or not (of.label != "").any():
        return None
    try:
        return confusion_counts(of.cluster, of.label, of.n_clusters)
    except UserError as many:
        return {"missing": str(many)}


def _means(described: Described, features: Mapping[str, NDArray[Any]]) -> dict[str, Any] | None:
    of = described.samples
    if of.n_clusters > MOST:
        return None
    first = [here[0] if here else -1 for here in described.most_typical(1)]
    rows = of.row.tolist()
    found = feature_means(features, of.cluster, of.n_clusters, first)
    return {"modalities": found, "prototypes": [rows[i] if i >= 0 else -1 for i in first]}


def _lost_text(lost: Mapping[int, str], shown: Samples) -> str:
    first = min(lost)
    name = shown.names()[first]
    return f"{len(lost)} of {len(shown)} pictures cannot be shown, one of them: {name} ({lost[first]})"


def _cut(text: str) -> str:
    return text if len(text) <= _LETTERS else f"{text[: _LETTERS - 1]}…"


def _number(value: float) -> float | None:
    return round(float(value), 4) if math.isfinite(value) else None


def _numbers(values: NDArray[Any]) -> list[float | None]:
    return [_number(value) for value in values.tolist()]
