"""``choose.html``: the answer, the curve, the table, and a way into the clusters of each K. Without scripts."""

from __future__ import annotations

import shlex
from base64 import b64encode
from collections.abc import Mapping, Sequence
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import Any

from cmc.runs.folder import GALLERY

_COLUMNS = {
    "k": "K",
    "runs": "runs",
    "information": "shared, held out (nats)",
    "by_chance": "by chance up to",
    "stability": "agreement of runs (ARI)",
    "silhouette": "silhouette",
    "largest": "largest cluster",
    "smallest": "smallest",
    "ari": "ARI against labels",
}
_SHARES = ("largest", "smallest")
_LOOKS = """
img { max-width: 100%; background: #fff; border: 1px solid var(--line); }
.answer { font-size: 1.15rem; max-width: 75rem; }
table { width: auto; margin: 1rem 0; }
th, td { padding: .25rem .7rem; text-align: right; border-bottom: 1px solid var(--line); }
td:last-child, th:last-child { text-align: left; }
tr.chosen td { font-weight: 600; background: var(--bar); }
.wide { overflow-x: auto; }
"""


def page(title: str, lines: Sequence[str], rows: Sequence[Mapping[str, Any]], folder: Path, chosen: int | None) -> str:
    """The page's text; ``choose.png`` is there already.

    Args:
        title: of the page.
        lines: the answer, and what else is to be said.
        rows: of the table, a mapping a K; None where a figure is unknown.
        folder: of the choice.
        chosen: the K whose row is marked.
    """
    looks = (files("cmc.webpage") / "page" / "base.css").read_text(encoding="utf-8") + _LOOKS
    picture = b64encode((folder / "choose.png").read_bytes()).decode()
    columns = [name for name in _COLUMNS if any(row.get(name) is not None for row in rows)]
    heads = "".join(f"<th>{escape(_COLUMNS[name])}</th>" for name in columns)
    body = "".join(
        f"<tr{' class=chosen' if row['k'] == chosen else ''}>"
        + "".join(f"<td>{escape(_shown(name, row))}</td>" for name in columns)
        + f"<td>{_way_in(folder, row['run'])}</td></tr>\n"
        for row in rows
    )
    more = "".join(f"<p class=hint>{escape(line)}</p>\n" for line in lines[1:])
    policy = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; form-action 'none'"
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<title>{escape(title)}</title><style>{looks}</style></head>
<body><header><h1>{escape(title)}</h1></header><main>
<p class=answer>{escape(lines[0])}</p>
{more}<img alt="what is measured over K" src="data:image/png;base64,{picture}">
<div class=wide><table><thead><tr>{heads}<th>what is in the clusters</th></tr></thead><tbody>
{body}</tbody></table></div>
<p class=hint>Means over runs of different seeds, of which each holds other samples out. The band is one standard
deviation, the grey wedge what chance hardly exceeds. Labels, where there are any, have chosen nothing.</p>
</main></body></html>
"""


def _shown(name: str, row: Mapping[str, Any]) -> str:
    value = row.get(name)
    if value is None:
        return "-"
    if name in _SHARES:
        return f"{value:.1%}"
    if isinstance(value, int):
        return str(value)
    spread = row.get(f"{name}_std")
    return f"{value:.3f}{'' if spread is None else f' ± {spread:.3f}'}"


def _way_in(folder: Path, run: str) -> str:
    """A link to the gallery of a run, or the command that makes it."""
    if (folder / run / GALLERY).is_file():
        return f'<a href="{escape(run)}/{GALLERY}">gallery</a>'
    return f"<code>python -m cmc.gallery {escape(shlex.quote(str(folder / run)))}</code>"
