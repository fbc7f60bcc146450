"""What an estimator shows of its clusters: its page, and its table in a notebook."""

from __future__ import annotations

import html
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cmc.clusters.described import Described
from cmc.clusters.page import Told, check_installed, write_gallery
from cmc.clusters.pictures import embedded
from cmc.clusters.run import told_of
from cmc.errors import UserError
from cmc.estimator.validation import aligned
from cmc.runs.embeddings import PROJECTIONS
from cmc.utils.progress import bars
from cmc.utils.validate import one_of

_CLUSTERS, _MEMBERS, _LETTERS = 30, 8, 60  # of a table in a notebook
_LOST = "display:inline-block;padding:.2em .4em;border:1px dashed"  # a picture that cannot be shown
_CELL = "text-align:left;vertical-align:top;padding:.2em .7em"


def texts_of(what: str, given: Any, ids: NDArray[np.str_] | None, n: int) -> list[str | None] | None:
    """Texts in the order of the samples; None in the place of one that is not there.

    Args:
        what: they are called.
        given: N texts, a series in any order; None without.
        ids: of the samples; None without.
        n: N.

    Raises:
        UserError: other than N.
    """
    if given is None:
        return None
    texts = aligned(given, ids) if hasattr(given, "index") and not isinstance(given, list | tuple) else list(given)
    if len(texts) != n:
        raise UserError(f"{what}: {len(texts)} given for {n} samples; give one a sample")
    return [None if text is None or text != text else str(text) for text in texts]  # NaN in a series is none


def write_page(path: Path, described: Described, report: Mapping[str, Any], projection: str) -> Path:
    """Write the gallery's page.

    Raises:
        UserError: a package is missing, another projection, or a path that is none of a page.
    """
    one_of("projection", projection, PROJECTIONS)
    if path.suffix.lower() not in (".html", ".htm"):
        raise UserError(f"path: {path} given; its name must end in .html")
    check_installed()
    told = told_of(path.parent, report)
    facts = {name: fact for name, fact in told.facts.items() if name != "run"}
    with bars() as (advance, begin):
        write_gallery(path, described, Told(told.title, facts, told.credits), projection, advance, begin)
    return path


def clusters_html(described: Described) -> str:
    """The clusters as a table: number, size, terms, and the most typical members as pictures or texts.

    In the place of a picture that cannot be shown stands why.
    """
    order = np.argsort(-described.size, kind="stable")[:_CLUSTERS].tolist()
    typical = described.most_typical(_MEMBERS)
    rows = "".join(_row(described, k, typical[k]) for k in order)
    heads = "".join(
        f'<th style="{_CELL}">{title}</th>' for title in ("cluster", "samples", "confidence", "most typical")
    )
    left = described.samples.n_clusters - len(order)
    more = f"<p>and {left} smaller clusters</p>" if left else ""
    return f"<table><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>{more}"


def _row(described: Described, cluster: int, members: list[int]) -> str:
    size = int(described.size[cluster])
    means = described.confidence if described.calibrated is None else described.calibrated
    sure = f"{means[cluster]:.2f}" if size else ""
    name = described.names[cluster]
    title = f"{cluster}" if name == f"cluster {cluster}" else f"{cluster} {name}"
    cells = (html.escape(title), str(size), sure, _members(described, members))
    return "<tr>" + "".join(f'<td style="{_CELL}">{cell}</td>' for cell in cells) + "</tr>"


def _members(described: Described, members: list[int]) -> str:
    of = described.samples
    if of.pictures is not None and find_spec("PIL") is not None:
        small = embedded([of.pictures[i] for i in members], lambda n: None)
        return "".join(
            _picture(_text(described, i), text, small.lost.get(at, ""))
            for at, (i, text) in enumerate(zip(members, small.texts, strict=True))
        )
    return "<br>".join(html.escape(_text(described, i)) for i in members[:3])


def _picture(title: str, webp: str, lost: str) -> str:
    """A picture, or why it cannot be shown."""
    if not webp:
        return f'<span title="{html.escape(title)}" style="{_LOST}">{html.escape(lost)}</span>'
    return f'<img alt="" title="{html.escape(title)}" style="height:56px" src="data:image/webp;base64,{webp}">'


def _text(described: Described, i: int) -> str:
    of = described.samples
    text = str(of.caption[i]) if of.caption is not None else of.names()[i]
    return text if len(text) <= _LETTERS else f"{text[: _LETTERS - 1]}…"
