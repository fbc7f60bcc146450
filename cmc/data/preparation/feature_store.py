"""A feature folder: one ``.npy`` a modality, ``labels.npy``, ``names.txt``, ``meta.json``, and what was fitted.

Here it is read; `cmc.data.preparation.making` writes it.
"""

from __future__ import annotations

import csv
import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cmc.data.modalities import Modalities
from cmc.data.preparation.progress import FILE as PROGRESS
from cmc.distributed import is_rank_zero
from cmc.errors import UserError
from cmc.utils.safe_read import check_text, parse_json, read_errors, text_array

log = logging.getLogger(__name__)
FORMAT = 2
META = "meta.json"


def is_store(folder: Path) -> bool:
    """Whether a feature folder is here, finished or not."""
    return (folder / META).is_file() or (folder / PROGRESS).is_file()


def is_finished(folder: Path) -> bool:
    """Whether a finished feature folder is here."""
    return (folder / META).is_file()


def fitted_file(folder: Path, modality: str) -> Path:
    """Where the arrays of a modality's extractor are kept, where it was fitted."""
    return folder / f"{modality}.extractor.npz"


def read_meta(folder: Path) -> dict[str, Any]:
    """What ``meta.json`` says.

    Raises:
        UserError: the folder is unfinished, from another version, or its meta.json is damaged.
    """
    if not is_finished(folder):
        raise UserError(f"{folder}: its preparation has not come to its end; run the same cmc.prepare again to go on")
    damaged = f"{folder / META}: damaged; delete the folder and run cmc.prepare again"
    with read_errors(damaged, folder / META):
        meta = parse_json(folder / META)
        known = meta["format"]
    if known != FORMAT:
        raise UserError(
            f"{folder}: a feature folder of format {known}, this version reads {FORMAT}; "
            "delete it and run cmc.prepare again"
        )
    if not _is_complete(meta):
        raise UserError(damaged)
    return meta


def _is_complete(meta: Mapping[str, Any]) -> bool:
    kinds = {"title": str, "n_samples": int, "classes": list, "modalities": dict, "selection": dict, "extraction": dict}
    return (
        all(isinstance(meta.get(key), kind) for key, kind in kinds.items())
        and all(
            isinstance(about, dict)
            and isinstance(about.get("width"), int)
            and isinstance(about.get("fingerprint"), str)
            and name == Path(name).name
            for name, about in meta["modalities"].items()
        )
        and all(isinstance(name, str) for name in meta["classes"])
    )


def read_store(folder: Path) -> Modalities:
    """Map a feature folder's arrays into memory.

    Raises:
        UserError: see `read_meta`; an array that is missing, damaged or does not fit ``meta.json``.
    """
    meta = read_meta(folder)
    features = {name: _mapped(folder / f"{name}.npy") for name in meta["modalities"]}
    for name, array in features.items():
        expected = (meta["n_samples"], meta["modalities"][name]["width"])
        if array.shape != expected:
            shape = " x ".join(map(str, array.shape))
            raise UserError(
                f"{folder / name}.npy: {shape}, but meta.json says {expected[0]} x {expected[1]}; "
                "delete the folder, run cmc.prepare again"
            )
    if is_rank_zero() and (words := told(skipped(folder))):
        log.warning("data: %s: %d samples%s", folder, meta["n_samples"], words)
    labels = _mapped(folder / "labels.npy") if meta["classes"] else None
    classes = tuple(meta["classes"]) or None
    ids = _names(folder, meta["n_samples"])
    return Modalities(features, labels, classes, source=f"{meta['title']}, feature folder {folder}", ids=ids)


def _names(folder: Path, n: int) -> NDArray[np.str_] | None:
    """The samples' names; None where ``names.txt`` is not there, or not of these samples."""
    path = folder / "names.txt"
    if not os.path.isfile(path):
        return None
    with read_errors(f"{path}: damaged; delete the folder, run cmc.prepare again", path):
        check_text(path)
        names = path.read_text(encoding="utf-8").split("\n")[:-1]
        return text_array(path, names) if len(names) == n else None


def _mapped(path: Path) -> NDArray[Any]:
    if not os.path.isfile(path):  # where Path.is_file raises: a name that is too long
        raise UserError(f"{path}: missing, though meta.json names it; delete the folder, run cmc.prepare again")
    with read_errors(f"{path}: cut short or damaged; delete the folder, run cmc.prepare again", path):
        return np.lib.format.open_memmap(path, mode="r")


def told(left_out: Mapping[str, str], at_most: int = 3) -> str:
    """``; 2 samples left out: a.jpg (no image), b.jpg (cut short)``; nothing where nothing is."""
    if not left_out:
        return ""
    shown = (f"{name} ({reason})" for name, reason in list(left_out.items())[:at_most])
    more = f" and {len(left_out) - at_most} more" if len(left_out) > at_most else ""
    return f"; {len(left_out)} sample{'s' * (len(left_out) > 1)} left out: {', '.join(shown)}{more}"


def skipped(folder: Path) -> dict[str, str]:
    """The samples that a feature folder lacks, and why, by ``skipped.csv``.

    Raises:
        UserError: it cannot be read.
    """
    path = folder / "skipped.csv"
    if not path.exists():
        return {}
    with read_errors(f"{path}: damaged; delete the folder and prepare anew", path):
        check_text(path)
        with path.open(newline="", encoding="utf-8") as file:
            return {row["name"]: row["reason"] for row in csv.DictReader(file)}
