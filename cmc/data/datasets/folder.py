"""Folder: a folder of one's own images and texts, prepared on first use."""

from __future__ import annotations

import dataclasses
import logging
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cmc.data.datasets.captions import SEVERAL, Listed, listed, pictures
from cmc.data.datasets.published import Raw
from cmc.data.modalities import Modalities
from cmc.data.preparation.distribution import Distribution
from cmc.data.preparation.feature_store import is_finished, read_meta
from cmc.data.preparation.selection import Selection, select
from cmc.distributed import is_rank_zero
from cmc.errors import UserError
from cmc.utils import validate

log = logging.getLogger(__name__)
FOLDERS = "folders"
INCOMPLETE = ("drop", "use")


class Folder(Raw):
    """``data=folder data.raw=DIR``: images with a list of captions, or with ``<name>.txt`` beside ``<name>.jpg``.

    The list is ``captions.csv`` with the columns ``image`` (a path within DIR) and ``caption``, and may have ``label``;
    other forms that are read: `cmc.data.datasets.captions`. The features are kept in ``root``, by default
    ``DIR/cmc_features``, and made on first use.

    Args:
        root: where the features are, or will be.
        raw: the folder.
        labels: ``folders``: the names of the folders that images lie in are their labels; None for those of the list.
        captions: several captions of a picture are ``joined``, or the ``first`` is taken, or ``all`` are samples.
        incomplete: pictures without a caption, and captions without their picture: ``drop`` them, or ``use`` them, with
            rows of NaN for what they lack.
        settings: see `Raw`.
    """

    key = "folder"
    title = "folder"

    def __init__(
        self,
        root: str | None = None,
        raw: str | None = None,
        labels: str | None = None,
        captions: str = "joined",
        incomplete: str = "drop",
        **settings: Any,
    ) -> None:
        super().__init__(root=root or str(Path(str(raw or ".")) / "cmc_features"), raw=raw, **settings)
        self._labels = validate.require("data.labels", labels, labels in (None, FOLDERS), f"{FOLDERS}, or null")
        self._several = validate.one_of("data.captions", captions, SEVERAL)
        self._incomplete = validate.one_of("data.incomplete", incomplete, INCOMPLETE)

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
        if self._labels and not read_meta(self.root)["classes"]:
            raise UserError(
                f"data.labels: {self._labels} given, but the features in {self.root} were made without labels; give "
                "data.root=ANOTHER, or delete them"
            )
        rule = read_meta(self.root)["selection"]
        for key, default, asked in (
            ("captions", SEVERAL[0], self._several),
            ("incomplete", INCOMPLETE[0], self._incomplete),
        ):
            if (made := rule.get(key, default)) != asked:
                raise UserError(
                    f"data.{key}: {asked} asked for, but the features in {self.root} were made with {made}; "
                    "give data.root=ANOTHER, or delete them"
                )
        data = self._read_made()
        there = self.raw if self.raw is not None and self.raw.is_dir() else None
        return dataclasses.replace(data, captions=self._captions(data.ids), pictures=there)

    def _captions(self, names: Any) -> list[str] | None:
        """The samples' texts, for people to read; None where the raw folder is no more what the features are of."""
        if names is None or self.raw is None or not self.raw.is_dir():
            return None
        try:
            source = self.open(self.raw)
        except UserError:
            return None
        rows = [] if source is None else _rows_of(names.tolist(), source)
        if source is None or source.texts is None or min(rows, default=-1) < 0:
            return None
        return list(map(str, source.texts(np.array(rows))))

    def open(self, folder: Path) -> Distribution | None:
        """Open the images and their texts."""
        found = listed(folder, self._several)
        if found is not None:
            names, texts, unusable = found.names, found.captions, found.unusable
            source = _distribution(folder, found.form, names, texts, unusable, found)
            return self._labelled(folder, _with_gaps(source) if self._incomplete == "use" else source)
        images = pictures(folder)
        pairs = [(path, path.with_suffix(".txt")) for path in images]
        if not any(text.is_file() for _, text in pairs):
            return None
        if alone := [path for path, text in pairs if not text.is_file()]:
            raise UserError(f"{alone[0]}: {len(alone)} images have no .txt of their name beside them; add them")
        names = [str(path.relative_to(folder)) for path in images]
        texts = [text.read_text(encoding="utf-8", errors="replace") for _, text in pairs]
        unusable = {n: "an empty text" for n, text in enumerate(texts) if not text.strip()}
        form = f"{len(pairs)} images with .txt files"
        return self._labelled(folder, _distribution(folder, form, names, texts, unusable))

    def _labelled(self, folder: Path, source: Distribution) -> Distribution:
        """The same with its folders as labels where these are asked for; where they might be labels, say so."""
        if source.labels is not None and not self._labels:
            return source
        names = [Path(name).parent.name for name in source.names]
        sizes = Counter(names)
        could_be = len(sizes) > 1 and "" not in sizes and min(sizes.values()) > 1
        if self._labels:
            if not could_be:
                raise UserError(
                    f"data.labels: {FOLDERS} given, but the images in {folder} lie in no folders of 2 or more"
                )
            concepts, labels = _one_hot(names)
            return dataclasses.replace(source, concepts=concepts, labels=labels)
        if could_be:
            shown = ", ".join(sorted(sizes)[:5]) + (", ..." if len(sizes) > 5 else "")
            log.info(
                "data: the images lie in %d folders (%s): data.labels=folders takes them as labels", len(sizes), shown
            )
        return source

    def _select(self, source: Distribution) -> Selection:
        """All samples that can be used; -1 for the class of those without a label."""
        chosen = select(source, (), None, "full")
        more = {"captions": self._several} if self._several != SEVERAL[0] else {}
        more |= {"incomplete": self._incomplete} if self._incomplete != INCOMPLETE[0] else {}
        chosen = dataclasses.replace(chosen, rule={**chosen.rule, **more})
        if source.labels is None:
            return chosen
        if len(source.concepts) == 1:
            raise UserError(
                f"{self.raw}: {source.form}: label is {source.concepts[0]!r} in every line; name 2 classes, or leave "
                "the column out"
            )
        carried = source.labels[chosen.rows]
        codes = np.where(carried.any(1), carried.argmax(1), -1)
        rule = {**chosen.rule, "concepts": list(source.concepts), "without_label": int((codes < 0).sum())}
        return Selection(chosen.rows, codes, source.concepts, rule)

    def _nothing(self, folder: Path) -> UserError:
        return UserError(
            f"{folder}: no captions.csv (columns image, caption) and no <name>.txt beside <name>.jpg; add either"
        )


def _with_gaps(source: Distribution) -> Distribution:
    """The same with pictures or captions alone for samples that lack the other."""
    assert source.texts is not None
    assert source.images is not None
    rows = sorted(source.unusable)
    spoken = [bool(text) for text in source.texts(np.array(rows, dtype=np.int64))]
    shown = [source.images(row).is_file() for row in rows]
    lacking = {
        "image": frozenset(row for row, has_text, has_image in zip(rows, spoken, shown, strict=True) if has_text),
        "text": frozenset(row for row, has_text, has_image in zip(rows, spoken, shown, strict=True) if has_image),
    }
    used = lacking["image"] | lacking["text"]
    unusable = {row: reason for row, reason in source.unusable.items() if row not in used}
    return dataclasses.replace(source, unusable=unusable, lacking=lacking)


def _distribution(
    folder: Path,
    form: str,
    names: list[str],
    texts: list[str],
    unusable: dict[int, str],
    found: Listed | None = None,
) -> Distribution:
    concepts, labels = _one_hot(found.labels) if found is not None and found.labels is not None else ((), None)
    return Distribution(
        form=form,
        names=names,
        concepts=concepts,
        labels=labels,
        images=lambda row: folder / names[row],
        texts=_captions(texts),
        unusable=unusable,
        files=() if found is None else found.paths,
    )


def _rows_of(names: Sequence[str], source: Distribution) -> list[int]:
    """The row of each name, of one that comes again the next each time; -1 where there is none."""
    places: dict[str, list[int]] = {}
    for row, name in enumerate(source.names):
        if row not in source.unusable:
            places.setdefault(name, []).append(row)
    left = {name: iter(rows) for name, rows in places.items()}
    return [next(left.get(name, iter(())), -1) for name in names]


def _one_hot(labels: Sequence[str | None]) -> tuple[tuple[str, ...], NDArray[np.bool_]]:
    """The values, and N x C: which of them a sample has."""
    values = tuple(sorted({label for label in labels if label is not None}))
    return values, np.array([[label == value for value in values] for label in labels])


def _captions(captions: list[str]) -> Callable[[Any], list[str]]:
    return lambda rows: [captions[row] for row in rows.tolist()]
