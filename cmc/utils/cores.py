"""The cores that this process may use, and how its threads wait. Light: imports no torch."""

from __future__ import annotations

import os
from collections.abc import Iterator, MutableMapping
from pathlib import Path, PurePosixPath

SPINS = (
    10_000  # a fraction of a millisecond: longer than the code between two products takes, shorter than a time slice
)
_SPINNING = ("GOMP_SPINCOUNT", "KMP_BLOCKTIME", "OMP_WAIT_POLICY")


def available(root: Path = Path("/")) -> int:
    """Cores that the scheduler gives this process, at most those that its cgroups' quotas pay for; at least 1.

    Args:
        root: of the file system that says so.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min([cores, *(int(quota) for quota in _quotas(root))]))


def allowed() -> int:
    """`available`, at most what the environment says (OMP_NUM_THREADS), as torchrun, SLURM and joblib do."""
    first = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0].strip()
    return min(available(), int(first)) if first.isdecimal() and int(first) else available()


def bound_spinning(environment: MutableMapping[str, str]) -> None:
    """Let threads that wait for each other spin for a bounded time, then sleep, unless the user says how they wait.

    OpenMP reads it when it is loaded, with torch: afterwards this is without effect.

    Args:
        environment: of this process, or of one to be started.
    """
    if not any(name in environment for name in _SPINNING):
        environment["GOMP_SPINCOUNT"] = str(SPINS)
        environment["KMP_BLOCKTIME"] = "1"  # ms: of Intel's OpenMP, which some builds of torch have


def _quotas(root: Path) -> Iterator[float]:
    """Cores that each cgroup of this process may use on average, where it has a quota (versions 1 and 2)."""
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        mounts = [controllers, "cpu"] if "cpu" in controllers.split(",") else [] if controllers else [".", "unified"]
        for mount in mounts:
            for group in (PurePosixPath(path), *PurePosixPath(path).parents):
                folder = root / "sys/fs/cgroup" / mount / str(group).lstrip("/")
                names = ("cpu.cfs_quota_us", "cpu.cfs_period_us") if controllers else ("cpu.max",)
                yield from _quota(*(folder / name for name in names))


def _quota(*files: Path) -> Iterator[float]:
    """Microseconds of processor time over those of the period; nothing where there is no limit (max, or -1)."""
    try:
        quota, period = map(int, " ".join(file.read_text() for file in files).split())
    except (OSError, ValueError):
        return
    if quota > 0 and period > 0:
        yield quota / period
