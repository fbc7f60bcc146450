"""``history.csv`` of a run folder: a row an epoch. Light: imports no torch."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from cmc.utils.atomic import atomic_write


def read_history(run: Path) -> list[dict[str, Any]]:
    """The rows, as text; an empty list where there is no such file."""
    path = run / "history.csv"
    if not path.exists():
        return []
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def write_history(run: Path, columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> None:
    """Write the file anew; what a row lacks is left empty."""
    with atomic_write(run / "history.csv") as path, path.open("w", newline="") as file:
        writer = csv.DictWriter(file, columns, restval="")
        writer.writeheader()
        writer.writerows(rows)
