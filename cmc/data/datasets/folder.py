"""Folder: a folder of one's own images and texts, prepared on first use."""

from __future__ import annotations

import csv
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from cmc.data.datasets.published import Raw
from cmc.data.modalities import Modalities
from cmc.data.preparation.distribution import Distribution
from cmc.data.preparation.feature_store import is_finished
from cmc.data.preparation.selection import Selection, select
from cmc.distributed import is_rank_zero
from cmc.errors import UserError

_IMAGES = {".jpg", ".jpeg", ".png", ".bmp", ".gif", ".tif", ".tiff", ".webp"}


class Folder(Raw):
    """``data=folder data.raw=DIR``: images with ``captions.csv``, or with ``<name>.txt`` beside ``<name>.jpg``.

    ``captions.csv`` has the columns ``image`` (a path within DIR) and ``caption``, and may have ``label``. The features
    are kept in ``root``, by default ``DIR/cmc_features``, and made on first use.
    """

    key = "folder"
    title = "folder"

    def __init__(self, root: str | None = None, raw: str | None = None, **settings: Any) -> None:
        super().__init__(root=root or str(Path(str(raw or ".")) / "cmc_features"), raw=raw, **settings)

    def read(self) -> Modalities:
        """Read the prepared features; prepare them when they are not there yet.

        Raises:
            UserError: no folder given, what is wrong in it, or features made with other settings.
        """
        while not is_rank_zero() and not is_finished(self.root):
            time.sleep(1)
        if not is_finished(self.root):
            from cmc.utils.progress import bars

            with bars() as (advance, begin):
                self.prepare(advance, begin)
        return self._read_made()

    def open(self, folder: Path) -> Distribution | None:
        """Open the images and their texts."""
        listed = folder / "captions.csv"
        if listed.exists():
            return _listed(folder, listed)
        images = [path for path in sorted(folder.rglob("*")) if path.suffix.lower() in _IMAGES]
        pairs = [(path, path.with_suffix(".txt")) for path in images]
        if not any(text.is_file() for _, text in pairs):
            return None
        if alone := [path for path, text in pairs if not text.is_file()]:
            raise UserError(f"{alone[0]}: {len(alone)} images have no .txt of their name beside them; add them")
        return Distribution(
            form=f"{len(pairs)} images with .txt files",
            names=[str(path.relative_to(folder)) for path in images],
            images=lambda row: images[row],
            texts=lambda rows: [_text(pairs[row][1]) for row in rows.tolist()],
        )

    def _select(self, source: Distribution) -> Selection:
        if len(source.concepts) == 1:
            raise UserError(
                f"{self.raw}: {source.form}: label is {source.concepts[0]!r} in every line; name 2 classes, or leave "
                "the column out"
            )
        return select(source, source.concepts, None, "full" if source.labels is None else "exclusive")

    def _nothing(self, folder: Path) -> UserError:
        return UserError(
            f"{folder}: no captions.csv (columns image, caption) and no <name>.txt beside <name>.jpg; add either"
        )


def _listed(folder: Path, path: Path) -> Distribution:
    """Images and captions as ``captions.csv`` lists them; labels where it has that column for every image."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = list(csv.DictReader(file))
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: no UTF-8 text at byte {error.start}; save it as UTF-8") from None
    except (csv.Error, OSError) as error:
        raise UserError(f"{path}: cannot be read as .csv ({error}); save it again") from None
    columns = set(rows[0]) if rows else set()
    if not {"image", "caption"} <= columns:
        raise UserError(f"{path}: columns {sorted(map(str, columns))}; it needs image and caption, and may have label")
    names = [row["image"] or "" for row in rows]
    for line, (name, row) in enumerate(zip(names, rows, strict=True), start=2):
        if not os.path.isfile(folder / name):  # where Path.is_file raises: a name that is too long
            raise UserError(f"{path}, line {line}: {name!r} is no file in {folder}")
        if row["caption"] is None or ("label" in columns and not row["label"]):
            raise UserError(f"{path}, line {line}: a cell is missing; every image needs all columns")
        if None in row:
            raise UserError(f"{path}, line {line}: more cells than columns; put captions with commas into quotes")
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise UserError(f"{path}: {twice!r} is listed twice; keep one line an image")
    given = [row["label"] for row in rows] if "label" in columns else None
    concepts = tuple(sorted(set(given))) if given else ()
    labels = np.array([[label == concept for concept in concepts] for label in given]) if given else None
    return Distribution(
        form=f"{len(rows)} images with captions.csv",
        names=names,
        concepts=concepts,
        labels=labels,
        images=lambda row: folder / names[row],
        texts=_captions([row["caption"] for row in rows]),
        files=(path,),
    )


def _captions(captions: list[str]) -> Callable[[Any], list[str]]:
    return lambda rows: [captions[row] for row in rows.tolist()]


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace")
