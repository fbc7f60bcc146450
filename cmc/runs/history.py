"""``history.csv`` of a run folder: a row an epoch. Light: imports no torch."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any


def read_history(run: Path) -> list[dict[str, Any]]:
    """The rows, as text; an empty list where there is no such file."""
    path = run / "history.csv"
    if not path.exists():
        return []
    with path.open(newline="") as file:
        return list(csv.DictReader(file))
