"""``python -m cmc.report``: tables, figures and one page of many finished runs."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from cmc.cli import Parser, plain_command
from cmc.errors import UserError


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog="python -m cmc.report", description=__doc__.partition(": ")[2], allow_abbrev=False)
    parser.add_argument("paths", nargs="+", type=Path, metavar="PATH", help="run folders, sweeps, or folders of them")
    parser.add_argument("--out", type=Path, default=Path("report"), metavar="DIR", help="default: report")
    parser.add_argument(
        "--projection",
        choices=("tsne", "pca"),
        default="tsne",
        help="of the page's embeddings; t-SNE takes seconds a run",
    )
    return parser


def _report(arguments: Sequence[str]) -> None:
    options = _parser().parse_args(arguments)
    from cmc.reporting.runs import find

    if (options.out / "metrics.json").exists() or (options.out.exists() and not options.out.is_dir()):
        raise UserError(f"--out: {options.out} is {'a run folder' if options.out.is_dir() else 'a file'}; give another")
    folders = find(options.paths)
    if not folders:
        raise UserError(
            f"{', '.join(map(str, options.paths))}: no run below; a run folder has config.yaml and metrics.json"
        )

    from cmc.reporting.writing import write

    try:
        write(folders, options.out, options.projection)
    except OSError as error:
        raise UserError(f"{error.filename or options.out}: {error.strerror or error}") from None


def main() -> None:
    """Run the command."""
    plain_command(_report)


if __name__ == "__main__":
    main()
