"""The container that every raw distribution is opened into, before any large file is read."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from cmc.errors import UserError

Rows = NDArray[np.int64]


class FeatureTable(Protocol):
    """Numbers of all samples in files that are read in parts, each part alone."""

    @property
    def width(self) -> int:
        """Columns."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the numbers."""

    @property
    def paths(self) -> Sequence[Path]:
        """The files, each a part."""

    def blocks(self, part: int) -> Iterator[tuple[Rows, NDArray[Any]]]:
        """Samples' positions and their numbers, B x width, of the part's file, block by block."""


@dataclass(frozen=True)
class Distribution:
    """N samples as they lie on disk.

    Attributes:
        form: what was found, for the log: ``raw distribution (Imagelist, AllLabels, ...)``.
        names: one a sample.
        concepts: names of the label columns; empty when nothing is labelled.
        labels: N x C bool: which concepts a sample carries; None without labels.
        n_common: how many of the concepts, from the first, the most frequent are chosen among; None for all.
        tables: low-level image features by name.
        images: the image file of a sample, or None when no image is there.
        texts: the texts of the samples at given positions: captions, or lists of tags; None when there is none.
        tags: a table of 0/1 tag columns, or None.
        tag_names: the words of the tag columns.
        concepts_are_tags: the labels are words of the text, which must not hold the chosen ones then.
        unusable: position -> why a sample cannot be used.
        lacking: ``image`` or ``text`` -> positions of samples that lack it, and are used for the other.
        files: what was read, for checksums.
    """

    form: str
    names: Sequence[str]
    concepts: tuple[str, ...] = ()
    labels: NDArray[np.bool_] | None = None
    n_common: int | None = None
    tables: Mapping[str, FeatureTable] = field(default_factory=dict)
    images: Callable[[int], Path] | None = None
    texts: Callable[[Rows], list[str] | list[list[str]]] | None = None
    tags: FeatureTable | None = None
    tag_names: tuple[str, ...] = ()
    concepts_are_tags: bool = False
    unusable: Mapping[int, str] = field(default_factory=dict)
    lacking: Mapping[str, frozenset[int]] = field(default_factory=dict)
    files: tuple[Path, ...] = ()


def find(root: Path, *alternatives: str) -> Path | None:
    """The first of the paths that is there: in the folder, or in a folder of it."""
    for relative in alternatives:
        for place in (root / relative, *sorted(root.glob(f"*/{relative}"))):
            if place.exists():
                return place
    return None


def read_lines(path: Path, encoding: str = "utf-8") -> list[str]:
    """The lines of a text file, stripped, without empty ones at its end.

    Raises:
        UserError: it cannot be read, is empty, is no text of the encoding, holds a zero byte, or is a web page.
    """
    try:
        text = path.read_bytes().decode(encoding).lstrip("\ufeff")
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); copy or download it again") from None
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: no text at byte {error.start}; copy or download it again") from None
    if not text.strip():
        raise UserError(f"{path}: the file is empty; copy or download it again")
    if "\0" in text:
        raise UserError(f"{path}: no text: it holds a zero byte; copy or download it again")
    check_no_page(path, text)
    return [line.strip() for line in text.rstrip().split("\n")]


def read_tags(path: Path) -> list[str]:
    """One tag a line; some files have CRLF, some are empty, some hold bytes that are no UTF-8.

    Raises:
        UserError: it cannot be read, or is a web page.
    """
    try:
        text = path.read_bytes().decode("utf-8", errors="replace").lstrip("\ufeff")
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); unpack the distribution again") from None
    check_no_page(path, text)
    return [tag for line in text.splitlines() if (tag := line.strip())]


def check_no_page(path: Path, text: str) -> None:
    """Refuse a web page, which a failed download leaves in the place of a file.

    Raises:
        UserError: it is one.
    """
    if text.lstrip()[:14].lower().startswith(("<!doctype html", "<html")):
        raise UserError(f"{path}: a web page in the place of data; download the file again")


def check_unique(lists: Mapping[Path, Sequence[str]]) -> None:
    """Refuse lists that name a sample twice.

    Raises:
        UserError: the lists, the name and its two lines.
    """
    seen: dict[str, str] = {}
    for path, names in lists.items():
        for line, name in enumerate(names, start=1):
            here = f"{path}, line {line}"
            if name in seen:
                raise UserError(f"{here}: {name!r} stands in {seen[name]}, too; keep one of them")
            seen[name] = here
