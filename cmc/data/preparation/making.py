"""A feature folder in the making: begun, filled step by step by one process or several, and finished.

The work can stop anywhere and go on, in as many processes as there are then.
"""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cmc.data.preparation import progress
from cmc.data.preparation.extraction import Block, Modality
from cmc.data.preparation.feature_store import FORMAT, META, fitted_file
from cmc.data.preparation.progress import Done, Taken
from cmc.errors import UserError
from cmc.utils.atomic import atomic_write, reserve
from cmc.utils.safe_read import read_errors

_LISTED = 200  # files of one collection listed one by one
_COPIED = 2**24  # bytes copied at once
_MAPPED = 2**28  # bytes written before the array is mapped anew


@dataclass
class Making:
    """A feature folder to be made, or gone on with.

    Args:
        folder: where.
        made: the modalities, by name; on a process other than the first those that it shares in.
        names: of the samples, N.
        labels: N classes, or None.
        facts: what ``meta.json`` says besides: title, classes, selection.
        files: what was read besides the modalities' own files, for checksums.
        unusable: sample -> why it was left out before, for ``skipped.csv``.
    """

    folder: Path
    made: Mapping[str, Modality]
    names: Sequence[str]
    labels: NDArray[np.int64] | None
    facts: Mapping[str, Any]
    files: Sequence[Path] = ()
    unusable: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Nothing is taken yet."""
        self._rank = 0
        self._own: Done = {}
        self._arrays: dict[str, NDArray[Any]] = {}
        self._written = 0

    def run(self, advance: Callable[[str, int], None]) -> dict[str, Any]:
        """Make the folder in this process alone; see `begin` and `finish`.

        Args:
            advance: told the modality and the rows that were done, for a progress bar.

        Returns:
            What ``meta.json`` holds.
        """
        self.begin()
        for name, rows in self.rows_taken().items():
            if rows:
                advance(name, rows)
        for name, step in self.share():
            self.take(name, step, self.made[name].run(step))
            advance(name, self.made[name].work(step))
        return self.finish()

    def begin(self) -> None:
        """Begin the folder, or take it up; one process does, before any other looks at it.

        Raises:
            UserError: the folder holds something else, or was begun otherwise.
        """
        request = _request(self.made, self.names, self.labels, self.facts)
        done = _begun(self.folder, request)
        begun = {name for name in self.made if self._is_laid(name, done)}
        done = {name: done[name] if name in begun else Taken() for name in self.made}
        progress.save(self.folder / progress.FILE, request, done)
        progress.remove_own(self.folder)
        for name in self.made.keys() - begun:
            self._lay(name)

    def _is_laid(self, name: str, done: Done) -> bool:
        """Whether the array is there, with what was taken of it."""
        unfinished = self._part(name).exists()
        final = (self.folder / f"{name}.npy").exists() and not unfinished
        return name in done and (final or (unfinished and bool(done[name].spans)))

    def _lay(self, name: str) -> None:
        modality, path = self.made[name], self._part(name)
        shape = (len(self.names), modality.width)
        np.lib.format.open_memmap(path, mode="w+", dtype=modality.dtype, shape=shape)
        reserve(path)

    def share(self, rank: int = 0, of: int = 1) -> list[tuple[str, int]]:
        """The steps that a process takes, a modality's one after the other; those of all are all that are left.

        Args:
            rank: of this process; the first one's shares are the larger ones.
            of: how many processes there are.
        """
        self._rank = rank
        _, done = progress.read(self.folder / progress.FILE)
        chosen = []
        for name, modality in self.made.items():
            left = done[name].left(modality.steps)
            start, stop = (-(-len(left) * r // of) for r in (rank, rank + 1))
            chosen += [(name, step) for step in left[start:stop]]
        return chosen

    def take(self, name: str, step: int, blocks: Iterable[Block]) -> None:
        """Write what a step gave, and note that it was taken.

        Raises:
            UserError: the unfinished array is damaged.
        """
        modality = self.made[name]
        for rows, columns, values in blocks:
            self._array(name)[rows, columns] = values
            self._written += values.nbytes
            if self._written > _MAPPED:  # written pages count as this process's memory until they are let go
                self._array(name).flush()
                self._written = 0
                del self._arrays[name]
        self._array(name).flush()
        own = self._own.setdefault(name, Taken())
        own.add(step)
        own.skipped |= modality.skipped
        progress.save(self.folder / progress.own_file(self._rank), "", self._own)

    def _array(self, name: str) -> np.memmap[Any, Any]:
        if name not in self._arrays:
            path = self._part(name)
            with read_errors(f"{path}: cut short or damaged; delete the folder and prepare anew", path):
                self._arrays[name] = np.lib.format.open_memmap(path, mode="r+")
        return self._arrays[name]  # type: ignore[return-value]

    def rows(self) -> dict[str, int]:
        """Of each modality the rows that there are to do."""
        return {name: sum(map(m.work, range(m.steps))) for name, m in self.made.items()}

    def rows_taken(self) -> dict[str, int]:
        """Of each modality the rows that were done, by all processes."""
        _, done = progress.read_all(self.folder)
        steps = {name: (step for start, stop in done[name].spans for step in range(start, stop)) for name in self.made}
        return {name: sum(map(self.made[name].work, steps[name])) for name in self.made}

    def is_taken(self) -> bool:
        """Whether nothing is left to any process."""
        return self.rows_taken() == self.rows()

    def finish(self) -> dict[str, Any]:
        """Give the arrays their names, once every step was taken; the first process does.

        Returns:
            What ``meta.json`` holds.

        Raises:
            UserError: fewer than two samples could be read.
        """
        self._arrays = {}
        _, done = progress.read_all(self.folder)
        n = len(self.names)
        skipped = {row: reason for taken in done.values() for row, reason in taken.skipped.items()}
        keep = np.setdiff1d(np.arange(n), list(skipped))
        if len(keep) < 2:
            raise UserError(
                f"{self.folder}: {len(skipped)} of {n} samples cannot be read, one: {next(iter(skipped.values()))}; "
                "mend them, delete this folder, and run the command again"
            )
        for name, modality in self.made.items():
            self._close(name, keep)
            if modality.fitted:
                with atomic_write(fitted_file(self.folder, name)) as path, path.open("wb") as file:
                    np.savez(file, **modality.fitted)  # type: ignore[arg-type]  # of which NumPy's types know nothing
        if self.labels is not None:
            with atomic_write(self.folder / "labels.npy") as path:
                np.save(path, self.labels[keep])
        left_out = {**self.unusable, **{self.names[row]: reason for row, reason in sorted(skipped.items())}}
        _write_text(self.folder, [self.names[i] for i in keep.tolist()], left_out)
        meta = self._meta(len(keep), len(left_out))
        with atomic_write(self.folder / META) as path:
            path.write_text(json.dumps(meta, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        progress.remove_all(self.folder)
        return meta

    def _part(self, name: str) -> Path:
        return self.folder / f"{name}.npy.part"

    def _close(self, name: str, keep: NDArray[Any]) -> None:
        """Give the array its name, without the rows that were skipped."""
        unfinished, final = self._part(name), self.folder / f"{name}.npy"
        if not unfinished.exists():
            return
        if len(keep) == len(self.names):
            unfinished.replace(final)
            return
        whole = np.lib.format.open_memmap(unfinished, mode="r")
        with atomic_write(final) as path:
            kept = np.lib.format.open_memmap(path, mode="w+", dtype=whole.dtype, shape=(len(keep), whole.shape[1]))
            reserve(path)
            step = max(1, _COPIED // (whole.itemsize * whole.shape[1]))
            for start in range(0, len(keep), step):
                kept[start : start + step] = whole[keep[start : start + step]]
            kept.flush()
        unfinished.unlink()

    def _meta(self, n_samples: int, n_skipped: int) -> dict[str, Any]:
        return {
            "format": FORMAT,
            **self.facts,
            "n_samples": n_samples,
            "skipped": n_skipped,
            "modalities": {
                name: {"width": m.width, "extractor": m.name, "fingerprint": m.fingerprint, "dtype": m.dtype.name}
                for name, m in self.made.items()
            },
            "sources": [
                entry for group in (self.files, *(m.paths for m in self.made.values())) for entry in _sources(group)
            ],
            "cmc": version("cmc"),
        }


def _request(
    made: Mapping[str, Modality], names: Sequence[str], labels: NDArray[Any] | None, facts: Mapping[str, Any]
) -> str:
    """A digest of all that a begun folder must share with the present work to be gone on with."""
    said = [facts, [(k, m.name, m.fingerprint, m.width, m.steps) for k, m in made.items()], list(names)]
    digest = blake2b(json.dumps(said, sort_keys=True, default=str).encode(), digest_size=16)
    digest.update(b"" if labels is None else np.ascontiguousarray(labels).data)
    return digest.hexdigest()


def _begun(folder: Path, request: str) -> Done:
    """How far each modality is; refuses a folder that holds other things."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{folder}: no folder can be made here ({error.strerror}); give another data.root") from None
    if (folder / META).exists():
        progress.remove_all(folder)
        raise UserError(f"{folder}: is prepared already; delete it, or give another data.root, to prepare anew")
    if not (folder / progress.FILE).exists():
        if any(not progress.is_progress(path.name) for path in folder.iterdir()):
            raise UserError(f"{folder}: is not empty; give another data.root for the feature folder")
        return {}
    begun, done = progress.read_all(folder)
    if begun != request:
        raise UserError(
            f"{folder}: was begun with other settings or files; give these again, delete the folder, or give another "
            "data.root"
        )
    return done


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
