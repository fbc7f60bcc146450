"""A page in one file: data, styles, scripts and the plotting library, with nothing fetched and nothing trusted."""

from __future__ import annotations

import hashlib
import json
from base64 import b64encode
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from cmc.errors import UserError
from cmc.utils.atomic import atomic_write

SHARED = "cmc.webpage"  # the package whose folder page/ holds what all pages share


def encode(value: Any) -> str:
    """JSON in which nothing ends or begins an element of a page."""
    text = json.dumps(value, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def plotly_source(page: str, extra: str) -> str:
    """plotly.js.

    Args:
        page: the file that is to be written, for the message.
        extra: of the package, which brings what the page needs.

    Raises:
        UserError: plotly or jinja2 is not there.
    """
    try:
        import jinja2  # noqa: F401  # by which `write_document` renders
        from plotly.offline import get_plotlyjs
    except ImportError as error:
        missing = str(error.name).partition(".")[0]
        raise UserError(f"{page} needs {missing}: pip install 'cmc[{extra}]'") from None
    source: str = get_plotlyjs()
    return source


def write_document(
    path: Path,
    package: str,
    styles: Sequence[str],
    scripts: Sequence[str],
    blocks: Mapping[str, str],
    plotly: str,
    images: str = "",
) -> None:
    """Write a page.

    Args:
        path: where to.
        package: the one whose ``page/page.html`` fills the layout; styles and scripts lie beside it.
        styles: its names of style sheets, after the shared one.
        scripts: its names of scripts, after the shared ones.
        blocks: the id of an element -> JSON, by `encode`.
        plotly: the source of plotly.js.
        images: whence pictures may come, besides the page itself.
    """
    from jinja2 import Environment, PackageLoader, PrefixLoader
    from markupsafe import Markup

    sources = [_file(SHARED, name) for name in ("elements.js", "charts.js")] + [
        _file(package, name) for name in scripts
    ]
    script = '(() => {\n"use strict";\n' + "\n".join(sources) + "})();\n"
    looks = "".join([_file(SHARED, "base.css"), *(_file(package, name) for name in styles)])
    loader = PrefixLoader({"shared": PackageLoader(SHARED, "page"), "own": PackageLoader(package, "page")})
    template = Environment(loader=loader, autoescape=True, keep_trailing_newline=True).get_template("own/page.html")
    page = template.render(
        policy=policy(script, plotly, images=images),
        style=Markup(looks),
        blocks={name: Markup(block) for name, block in blocks.items()},
        plotly=Markup(encode(plotly)),
        script=Markup(script),
    )
    with atomic_write(path) as unfinished:
        unfinished.write_text(page, encoding="utf-8")


def policy(*scripts: str, images: str = "") -> str:
    """Allow these scripts and no other, and no address outside of the page but for ``images``."""
    hashes = (b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts)
    allowed = " ".join(f"'sha256-{each}'" for each in hashes)
    pictures = " ".join(filter(None, ("data: blob:", images)))
    return (
        f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; img-src {pictures}; form-action 'none'"
    )


def _file(package: str, name: str) -> str:
    return (files(package) / "page" / name).read_text(encoding="utf-8")
