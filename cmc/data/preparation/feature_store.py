"""A feature folder: one ``.npy`` a modality, ``labels.npy``, ``names.txt``, ``meta.json``, and what was fitted.

It is written so that the work can stop anywhere and go on.
"""

from __future__ import annotations

import csv
import json
import logging
import os
from collections.abc import Callable, Mapping, Sequence
from hashlib import blake2b
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cmc.data.modalities import Modalities
from cmc.data.preparation.extraction import Modality
from cmc.distributed import is_rank_zero
from cmc.errors import UserError
from cmc.utils.atomic import atomic_write, reserve
from cmc.utils.safe_read import check_text, parse_json, read_errors, text_array

log = logging.getLogger(__name__)
FORMAT = 2
_META, _PROGRESS = "meta.json", "progress.json"
_LISTED = 200  # files of one collection listed one by one
_COPIED = 2**24  # bytes copied at once
_MAPPED = 2**28  # bytes written before the array is mapped anew


def is_store(folder: Path) -> bool:
    """Whether a feature folder is here, finished or not."""
    return (folder / _META).is_file() or (folder / _PROGRESS).is_file()


def is_finished(folder: Path) -> bool:
    """Whether a finished feature folder is here."""
    return (folder / _META).is_file()


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
    damaged = f"{folder / _META}: damaged; delete the folder and run cmc.prepare again"
    with read_errors(damaged, folder / _META):
        meta = parse_json(folder / _META)
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


def write_store(
    folder: Path,
    made: Mapping[str, Modality],
    names: Sequence[str],
    labels: NDArray[np.int64] | None,
    facts: Mapping[str, Any],
    files: Sequence[Path],
    unusable: Mapping[str, str],
    advance: Callable[[str, int], None],
) -> dict[str, Any]:
    """Make a feature folder, or go on with one that was begun in the same way.

    Args:
        folder: where.
        made: the modalities, by name.
        names: of the samples, N.
        labels: N classes, or None.
        facts: what ``meta.json`` says besides: title, classes, selection.
        files: what was read besides the modalities' own files, for checksums.
        unusable: sample -> why it was left out before, for ``skipped.csv``.
        advance: told the modality and the rows of every step taken, for a progress bar.

    Returns:
        What ``meta.json`` holds.

    Raises:
        UserError: the folder holds something else.
    """
    request = _request(made, names, labels, facts)
    done = _begun(folder, request)
    for name, modality in made.items():
        _fill(folder, name, modality, len(names), done, request, advance)
    skipped = {int(row): reason for state in done.values() for row, reason in state["skipped"].items()}
    keep = np.setdiff1d(np.arange(len(names)), list(skipped))
    if len(keep) < 2:
        raise UserError(
            f"{folder}: {len(skipped)} of {len(names)} samples cannot be read, one: {next(iter(skipped.values()))}; "
            "mend them, delete this folder, and run the command again"
        )
    for name, modality in made.items():
        _finish(folder, name, keep, len(names))
        if modality.fitted:
            with atomic_write(fitted_file(folder, name)) as path, path.open("wb") as file:
                np.savez(file, **modality.fitted)  # type: ignore[arg-type]  # of which NumPy's types know nothing
    if labels is not None:
        with atomic_write(folder / "labels.npy") as path:
            np.save(path, labels[keep])
    left_out = {**unusable, **{names[row]: reason for row, reason in sorted(skipped.items())}}
    _write_text(folder, [names[i] for i in keep.tolist()], left_out)
    meta = {
        "format": FORMAT,
        **facts,
        "n_samples": len(keep),
        "skipped": len(left_out),
        "modalities": {
            name: {"width": m.width, "extractor": m.name, "fingerprint": m.fingerprint, "dtype": m.dtype.name}
            for name, m in made.items()
        },
        "sources": [entry for group in (files, *(m.paths for m in made.values())) for entry in _sources(group)],
        "cmc": version("cmc"),
    }
    with atomic_write(folder / _META) as path:
        path.write_text(json.dumps(meta, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    (folder / _PROGRESS).unlink(missing_ok=True)
    return meta


def _request(
    made: Mapping[str, Modality], names: Sequence[str], labels: NDArray[Any] | None, facts: Mapping[str, Any]
) -> str:
    """A digest of all that a begun folder must share with the present work to be gone on with."""
    said = [facts, [(k, m.name, m.fingerprint, m.width, m.steps) for k, m in made.items()], list(names)]
    digest = blake2b(json.dumps(said, sort_keys=True, default=str).encode(), digest_size=16)
    digest.update(b"" if labels is None else np.ascontiguousarray(labels).data)
    return digest.hexdigest()


def _begun(folder: Path, request: str) -> dict[str, dict[str, Any]]:
    """How far each modality is; refuses a folder that holds other things."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{folder}: no folder can be made here ({error.strerror}); give another data.root") from None
    if (folder / _META).exists():
        (folder / _PROGRESS).unlink(missing_ok=True)
        raise UserError(f"{folder}: is prepared already; delete it, or give another data.root, to prepare anew")
    if not (folder / _PROGRESS).exists():
        if any(not path.name.startswith(_PROGRESS) for path in folder.iterdir()):
            raise UserError(f"{folder}: is not empty; give another data.root for the feature folder")
        return {}
    with read_errors(f"{folder / _PROGRESS}: damaged; delete the folder and prepare anew", folder / _PROGRESS):
        state = parse_json(folder / _PROGRESS)
        begun, done = state["request"], {name: _checked(each) for name, each in state["done"].items()}
    if begun != request:
        raise UserError(
            f"{folder}: was begun with other settings or files; give these again, delete the folder, or give another "
            "data.root"
        )
    return done


def _checked(state: Mapping[str, Any]) -> dict[str, Any]:
    """How far a modality is, as `_save_progress` wrote it."""
    skipped = {str(int(row)): str(reason) for row, reason in state["skipped"].items()}
    return {"steps": int(state["steps"]), "skipped": skipped}


def _fill(
    folder: Path,
    name: str,
    modality: Modality,
    n: int,
    done: dict[str, dict[str, Any]],
    request: str,
    advance: Callable[[str, int], None],
) -> None:
    """Take the steps that are left."""
    unfinished = folder / f"{name}.npy.part"
    state = done.setdefault(name, {"steps": 0, "skipped": {}})
    if (folder / f"{name}.npy").exists() and not unfinished.exists():
        return
    begun = state["steps"] > 0 and unfinished.exists()
    state["steps"] = state["steps"] if begun else 0
    _save_progress(folder, request, done)
    if not begun:
        np.lib.format.open_memmap(unfinished, mode="w+", dtype=modality.dtype, shape=(n, modality.width))
        reserve(unfinished)
    with read_errors(f"{unfinished}: cut short or damaged; delete the folder and prepare anew", unfinished):
        array = np.lib.format.open_memmap(unfinished, mode="r+")
    written = 0
    for step in range(modality.steps):
        if step >= state["steps"]:
            for rows, columns, values in modality.run(step):
                array[rows, columns] = values
                written += values.nbytes
                if written > _MAPPED:  # written pages count as this process's memory until they are let go
                    array.flush()
                    array, written = np.lib.format.open_memmap(unfinished, mode="r+"), 0
            array.flush()
            state["steps"] = step + 1
            state["skipped"] |= {str(row): reason for row, reason in modality.skipped.items()}
            _save_progress(folder, request, done)
        advance(name, modality.work(step))


def _save_progress(folder: Path, request: str, done: Mapping[str, Any]) -> None:
    with atomic_write(folder / _PROGRESS) as path:
        path.write_text(json.dumps({"request": request, "done": done}))


def _finish(folder: Path, name: str, keep: NDArray[Any], n: int) -> None:
    """Give the array its name, without the rows that were skipped."""
    unfinished, final = folder / f"{name}.npy.part", folder / f"{name}.npy"
    if not unfinished.exists():
        return
    if len(keep) < n:
        whole = np.lib.format.open_memmap(unfinished, mode="r")
        with atomic_write(final) as path:
            kept = np.lib.format.open_memmap(path, mode="w+", dtype=whole.dtype, shape=(len(keep), whole.shape[1]))
            reserve(path)
            step = max(1, _COPIED // (whole.itemsize * whole.shape[1]))
            for start in range(0, len(keep), step):
                kept[start : start + step] = whole[keep[start : start + step]]
            kept.flush()
        unfinished.unlink()
    else:
        unfinished.replace(final)


def _write_text(folder: Path, names: Sequence[str], left_out: Mapping[str, str]) -> None:
    with atomic_write(folder / "names.txt") as path:
        path.write_text("".join(f"{name}\n" for name in names), encoding="utf-8")
    if left_out:
        with atomic_write(folder / "skipped.csv") as path, path.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([("name", "reason"), *left_out.items()])


def _sources(paths: Sequence[Path]) -> list[dict[str, Any]]:
    """Sizes and checksums: of each file, or, of a collection of very many, of all names and sizes together."""
    paths = [path for path in paths if path.is_file()]
    if len(paths) <= _LISTED:
        return [_source(path) for path in paths]
    digest, total = blake2b(digest_size=16), 0
    for path in paths:
        size = path.stat().st_size
        digest.update(f"{path.name} {size}\n".encode())
        total += size
    folder = os.path.commonpath([path.parent for path in paths])
    return [{"files": len(paths), "folder": folder, "bytes": total, "names_and_sizes_blake2b": digest.hexdigest()}]


def _source(path: Path) -> dict[str, Any]:
    digest = blake2b(digest_size=16)
    with path.open("rb") as file:
        while block := file.read(2**20):
            digest.update(block)
    return {"file": str(path), "bytes": path.stat().st_size, "blake2b": digest.hexdigest()}


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
