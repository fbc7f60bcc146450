"""A disk with little room: a small tmpfs where this user may mount one, else a limit on the size of files."""

import math
import os
import subprocess
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_PAGE = 4096
_SIZE = 2**22


@dataclass
class Disk:
    """A folder with room for so many bytes.

    Attributes:
        kind: how room was made scarce.
        limit: bytes that a file may have, for the process to limit itself to; None on a disk that is small.
    """

    folder: Path
    room: int
    kind: str
    limit: int | None = None

    def empty(self):
        """Give room."""
        self.limit = None
        (self.folder / "ballast").unlink(missing_ok=True)


@contextmanager
def filled(folder, needed, largest, share):
    """Give a disk with room for a share of what a run needs."""
    folder.mkdir()
    if not _mounted(folder):
        limit = math.ceil(largest * share)
        yield Disk(folder, limit, "files limited in size", limit)
        return
    try:
        room = math.ceil(needed * share)
        with (folder / "ballast").open("wb") as file:
            free = os.statvfs(folder)
            file.write(bytes(free.f_bavail * free.f_frsize - room - _PAGE))
        yield Disk(folder, room, "tmpfs")
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def _mounted(folder):
    if os.geteuid() or os.environ.get("CMC_FAULTS_NO_MOUNT"):
        return False
    command = ["mount", "-t", "tmpfs", "-o", f"size={_SIZE}", "tmpfs", str(folder)]
    try:
        return subprocess.run(command, capture_output=True).returncode == 0
    except OSError:
        return False
