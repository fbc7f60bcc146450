"""Checkpoint files: written whole, read back before they count, the one before kept.

A file of `torch.save` is a zip archive with a checksum a record, which `torch.load` does not look at: a flipped byte
would come back as a number like any other. So the records are compared with their checksums first. What these do not
cover, headers and directory of the archive, is either refused by one of the two readers or changes nothing that is
loaded (docs/reliability.md).
"""

from __future__ import annotations

import logging
import os
import shutil
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, NamedTuple
from zipfile import ZIP_STORED, BadZipFile, ZipFile, is_zipfile

import torch
from lightning_fabric.plugins.io.torch_io import TorchCheckpointIO

from cmc.errors import UserError
from cmc.runs.folder import LAST, PREVIOUS, has_checkpoint
from cmc.utils.atomic import atomic_write, to_disk

log = logging.getLogger(__name__)


class StoredCheckpoint(NamedTuple):
    """A readable checkpoint: where it lies, and what it holds (tensors stay on disk until they are used)."""

    path: Path
    content: dict[str, Any]


class CheckpointFiles(TorchCheckpointIO):
    """Lightning's way to the disk, by `write`."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        """Write ``path``; see `write`."""
        write(checkpoint, Path(path))


def write(checkpoint: dict[str, Any], path: Path) -> None:
    """Write a checkpoint; the one that ``path`` held becomes ``previous.ckpt`` once the new one was read back.

    Raises:
        OSError: the disk is full; what was there stands.
    """
    with atomic_write(path) as unfinished:
        try:
            with unfinished.open("wb") as file:
                torch.save(checkpoint, file)
        except RuntimeError as error:  # what PyTorch makes of a file that cannot be written to
            raise error.__context__ if isinstance(error.__context__, OSError) else error from None
        check_records(unfinished)
        to_disk(unfinished)
        if path.exists():
            with atomic_write(path.with_name(PREVIOUS.name)) as second_name:
                _link(path, second_name)


def _link(path: Path, second_name: Path) -> None:
    """Give a file a second name, so that it has one at any moment; where the file system cannot, copy it."""
    second_name.unlink(missing_ok=True)
    try:
        os.link(path, second_name)
    except OSError:
        shutil.copyfile(path, second_name)


def double(run: Path) -> None:
    """Make ``previous.ckpt`` the same as ``last.ckpt``: a finished run then has its model twice."""
    with atomic_write(run / PREVIOUS) as unfinished:
        shutil.copyfile(run / LAST, unfinished)


def check_records(path: Path) -> None:
    """Compare every record of a file with its checksum.

    Raises:
        OSError, BadZipFile, and what else `zipfile` raises: the file cannot be read, was cut short or damaged, or has
            compressed records, which might be endless.
    """
    with path.open("rb") as file:
        if not is_zipfile(file):
            raise BadZipFile("its end is missing")
        with ZipFile(file) as archive:
            if any(record.compress_type != ZIP_STORED for record in archive.infolist()):
                raise BadZipFile("holds compressed records, which PyTorch writes none of")
            if (name := archive.testzip()) is not None:
                raise BadZipFile(f"{name} is not what was written")


def find(run: Path) -> StoredCheckpoint:
    """The newest readable checkpoint of a run: the last, or, said in the log, the one before.

    Raises:
        UserError: there is none, or none that can be read.
    """
    faults: list[str] = []
    for path in (run / LAST, run / PREVIOUS):
        content = _read(path)
        if not isinstance(content, str):
            if faults:
                log.warning("%s: cannot be read, taking %s in its place (%s)", run / LAST, path.name, faults[0])
            return StoredCheckpoint(path, content)
        faults.append(f"{path.name}: {content}")
    if not has_checkpoint(run):
        raise UserError(f"{run}: has no {LAST}")
    raise UserError(f"{run / LAST}: cannot be read, nor the one before; cut short or damaged ({'; '.join(faults)})")


def _read(path: Path) -> dict[str, Any] | str:
    """What a file holds, or why it cannot be read."""
    if not path.exists():
        return "is not there"
    try:
        check_records(path)
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except UnpicklingError:  # whose advice is to load it all the same
        return "holds Python objects, and loading these could run any code"
    except Exception as error:
        return " ".join(str(error).split())[:160] or type(error).__name__
    if not (isinstance(content, dict) and isinstance(content.get("state_dict"), dict)):
        return "is no checkpoint of CMC: it holds no state_dict"
    return content


def restore(run: Path) -> None:
    """Put the checkpoint before the last in the place of one that cannot be read."""
    with atomic_write(run / LAST) as unfinished:
        shutil.copyfile(run / PREVIOUS, unfinished)
