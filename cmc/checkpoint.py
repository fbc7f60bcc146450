"""Checkpoint files: written whole, read back before they count, the one before kept.

A file of `torch.save` is a zip archive with a checksum a record, which `torch.load` does not look at: a flipped byte
would come back as a number like any other.
"""

from __future__ import annotations

import logging
import os
import shutil
from pathlib import Path
from typing import Any, NamedTuple
from zipfile import ZIP_STORED, BadZipFile, ZipFile

import torch
from lightning_fabric.plugins.io.torch_io import TorchCheckpointIO

from cmc.errors import UserError
from cmc.runs import LAST, PREVIOUS, has_checkpoint
from cmc.storage import replacing, to_disk

log = logging.getLogger(__name__)


class Found(NamedTuple):
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
    with replacing(path) as unfinished:
        try:
            with unfinished.open("wb") as file:
                torch.save(checkpoint, file)
        except RuntimeError as error:  # what PyTorch makes of a file that cannot be written to
            raise error.__context__ if isinstance(error.__context__, OSError) else error from None
        to_disk(unfinished)
        check_sums(unfinished)
        if path.exists():
            os.replace(path, path.with_name(PREVIOUS.name))


def double(run: Path) -> None:
    """Make ``previous.ckpt`` the same as ``last.ckpt``: a finished run then has its model twice."""
    with replacing(run / PREVIOUS) as unfinished:
        shutil.copyfile(run / LAST, unfinished)


def check_sums(path: Path) -> None:
    """Compare every record with its checksum.

    Raises:
        OSError, BadZipFile, and what else `zipfile` raises: the file cannot be read, was cut short or damaged.
    """
    with ZipFile(path) as archive:
        if any(record.compress_type != ZIP_STORED for record in archive.infolist()):
            raise BadZipFile("holds compressed records, which PyTorch writes none of")
        if (name := archive.testzip()) is not None:
            raise BadZipFile(f"{name} is not what was written")


def find(run: Path) -> Found:
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
            return Found(path, content)
        faults.append(f"{path.name}: {content}")
    if not has_checkpoint(run):
        raise UserError(f"{run}: has no {LAST}")
    raise UserError(f"{run / LAST}: cannot be read, nor the one before; cut short or damaged ({'; '.join(faults)})")


def _read(path: Path) -> dict[str, Any] | str:
    """What a file holds, or why it cannot be read."""
    if not path.exists():
        return "is not there"
    try:
        check_sums(path)
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except Exception as error:
        return " ".join(str(error).split())[:160] or type(error).__name__
    if not (isinstance(content, dict) and isinstance(content.get("state_dict"), dict)):
        return "is no checkpoint of CMC: it holds no state_dict"
    return content


def restore(run: Path) -> None:
    """Put the checkpoint before the last in the place of one that cannot be read."""
    with replacing(run / LAST) as unfinished:
        shutil.copyfile(run / PREVIOUS, unfinished)
