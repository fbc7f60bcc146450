"""``pictures.csv`` of a run folder: where the samples' pictures lie, as a program named them. Light: no torch."""

from __future__ import annotations

import csv
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO, cast

from cmc.runs.folder import damaged
from cmc.utils.atomic import atomic_write
from cmc.utils.safe_read import check_text, read_errors

FILE = "pictures.csv"
_HEAD = ["picture"]


def write_pictures(run: Path, paths: Sequence[str | Path | None] | None) -> None:
    """Keep the paths, made absolute, and not the pictures: a row a sample in the order of the data.

    Args:
        run: the folder.
        paths: of all samples, of which None or an empty one has no picture; None in all to write nothing.
    """
    if paths is None:
        return
    with atomic_write(run / FILE) as path, _opened(path, "w") as file:
        writer = csv.writer(file, quoting=csv.QUOTE_ALL)
        writer.writerow(_HEAD)
        writer.writerows([os.path.abspath(os.path.expanduser(each)) if each else ""] for each in paths)


def read_pictures(run: Path, n_samples: int) -> list[Path | None] | None:
    """The paths; None where the run folder keeps none.

    Args:
        run: the folder.
        n_samples: N.

    Raises:
        UserError: the file is damaged, or of another number of samples.
    """
    path = run / FILE
    if not path.exists():
        return None
    with read_errors(damaged(path), path):
        check_text(path)
        with _opened(path, "r") as file:
            head, *rows = csv.reader(file)
        if head != _HEAD or len(rows) != n_samples:
            raise ValueError(f"{len(rows)} rows below {head}, where {n_samples} are due below {_HEAD}")
        return [Path(text) if text else None for (text,) in rows]


def moved(paths: Sequence[Path | None], folder: Path) -> list[Path | None]:
    """The paths after the folder that all of them lie in was moved.

    Args:
        paths: where the pictures lay.
        folder: where that folder is now.
    """
    parents = {os.path.dirname(path) for path in paths if path is not None}
    common = os.path.commonpath(parents) if parents else ""
    return [None if path is None else folder / os.path.relpath(path, common) for path in paths]


def _opened(path: Path, mode: str) -> TextIO:
    """Names of files need not be text: what is not stays as it is."""
    return cast(TextIO, path.open(mode, newline="", encoding="utf-8", errors="surrogateescape"))
