"""How much memory a reading may take: what a file declares, or unpacks to, is refused beyond that."""

from __future__ import annotations

import math
import os
from pathlib import Path

from cmc.errors import UserError

SETTING = "CMC_MAX_GIB"
_SHARE = 0.75  # of the free memory, where nothing else is set


def free_memory() -> float:
    """Bytes that the system can give, where it says so (Linux); without end elsewhere."""
    try:
        (line,) = (line for line in Path("/proc/meminfo").read_text().splitlines() if line.startswith("MemAvailable"))
    except (OSError, ValueError):
        return math.inf
    return 1024 * float(line.split()[1])


def limit() -> float:
    """Bytes that one reading may take: ``CMC_MAX_GIB`` of the environment, else three quarters of the free memory.

    Memory-mapped arrays take none.

    Raises:
        UserError: the setting is no number above 0.
    """
    if not (given := os.environ.get(SETTING)):
        return _SHARE * free_memory()
    try:
        found = float(given) * 2**30
    except ValueError:
        found = math.nan
    if not found > 0:
        raise UserError(f"{SETTING}: {given!r} given; it must be a number above 0")
    return found


def check_size(where: str, n_bytes: float) -> None:
    """Refuse what would take more than `limit`, before it is read.

    Raises:
        UserError: the line names the size, the limit, and how to raise it.
    """
    if n_bytes > (most := limit()):
        raise too_large(where, f"{n_bytes / 2**30:,.1f} GiB", most)


def too_large(where: str, size: str = "more", most: float | None = None) -> UserError:
    """The mistake of a file that would take too much memory."""
    allowed = (limit() if most is None else most) / 2**30
    return UserError(
        f"{where}: takes {size} in memory, and reading may take {allowed:.1f} GiB; raise that, {SETTING}=N in the "
        "environment, or save each modality as .npy, and give their folder, which is mapped"
    )
