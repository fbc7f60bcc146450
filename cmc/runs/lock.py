"""One run folder, one run: a lock that ends with the processes that hold it, however they end."""

from __future__ import annotations

import errno
import fcntl
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cmc.errors import UserError

log = logging.getLogger(__name__)
_HELD = (errno.EWOULDBLOCK, errno.EACCES)


@contextmanager
def locked(run: Path) -> Iterator[int]:
    """Hold a run folder, by its ``run.log``; gives the lock's file descriptor, for a child that is to hold it too.

    The lock is the system's (``flock``; on NFS it holds across machines) and needs no tidying: it goes when the last
    process that has the descriptor does.

    Raises:
        UserError: another process holds the folder.
    """
    run.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(run / "run.log", os.O_RDWR | os.O_CREAT, 0o666)
    try:
        if not _lock(descriptor):
            raise UserError(
                f"{run}: another process is at work on this run; wait for it or stop it, or give another hydra.run.dir"
            )
        yield descriptor
    finally:
        os.close(descriptor)


def is_locked(run: Path) -> bool:
    """Whether a process is at work on a run."""
    descriptor = os.open(run / "run.log", os.O_RDWR | os.O_CREAT, 0o666)
    try:
        return not _lock(descriptor)
    finally:
        os.close(descriptor)


def _lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in _HELD:
            return False
        log.warning("run.log: the file system knows no locks (%s); see that no second run works here", error.strerror)
    return True
