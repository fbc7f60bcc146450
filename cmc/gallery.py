"""``python -m cmc.gallery RUN``: what is in the clusters of a finished run, as a page to look at and to work on."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cmc.cli import Parser, plain_command
from cmc.config.requirements import check_projection
from cmc.errors import UserError
from cmc.runs.embeddings import PROJECTIONS
from cmc.runs.folder import GALLERY, finished


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog="python -m cmc.gallery", description=__doc__.partition(": ")[2], allow_abbrev=False)
    parser.add_argument("run", type=Path, metavar="RUN", help="the folder of a finished run")
    parser.add_argument("--names", type=Path, metavar="FILE", help="what the page exported; the run keeps it")
    parser.add_argument("--pictures", type=Path, metavar="DIR", help="where the pictures are, if they were moved")
    parser.add_argument("--out", type=Path, metavar="FILE", help="default: gallery.html in the run's folder")
    parser.add_argument("--projection", choices=PROJECTIONS, default="tsne", help="of the map")
    parser.add_argument("--trust", action="append", default=[], metavar="PACKAGE", help="of data sets of your own")
    return parser


def _gallery(arguments: Sequence[str]) -> None:
    options = _parser().parse_args(arguments)
    run = finished(options.run)
    out = options.out or run / GALLERY
    if out.is_dir() or out.suffix.lower() not in (".html", ".htm"):
        raise UserError(f"--out: {out} given; its name must end in .html")
    if options.pictures is not None and not options.pictures.is_dir():
        raise UserError(f"--pictures: {options.pictures}: there is no such folder")
    check_projection("--projection", options.projection)

    from cmc.clusters.described import write_clusters
    from cmc.clusters.page import check_installed, write_gallery
    from cmc.clusters.run import CLUSTERS, describe_run, told_of
    from cmc.runs.names import take
    from cmc.runs.report import read_report
    from cmc.utils.progress import bars

    check_installed()
    report = read_report(run)
    if options.names is not None:
        take(options.names, run)
    described = describe_run(run, report, options.pictures)
    if described.samples.pictures is None and (gone := report["features"].get("pictures")):
        print(f"without pictures: {gone} is not there any more; --pictures DIR says where they are", file=sys.stderr)
    bare = described.samples.pictures is None and described.samples.caption is None
    features = _features(run, len(described.samples), options.trust) if bare else None
    try:
        write_clusters(run / CLUSTERS, described)
        with bars() as (advance, begin):
            told = told_of(run, report, options.pictures)
            lines = write_gallery(out, described, told, options.projection, advance, begin, features)
    except OSError as error:
        raise UserError(f"{error.filename or out}: {error.strerror or error}") from None
    for line in lines:
        print(line, file=sys.stderr)
    print(f"{out}: {len(described.samples)} samples, K = {described.samples.n_clusters}")


def _features(run: Path, n_samples: int, trust: Sequence[str]) -> Mapping[str, Any] | None:
    """The run's features, read anew; None, with a line that says why, where they cannot be read."""
    from cmc.inference.samples import own_features

    try:
        return own_features(run, n_samples, trust)
    except UserError as error:
        print(f"without means of the features: {error}", file=sys.stderr)
        return None


def main() -> None:
    """Run the command."""
    plain_command(_gallery)


if __name__ == "__main__":
    main()
