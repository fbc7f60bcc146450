"""Lists of pictures and captions, as people have them: tables, lines of JSON, Flickr's tokens, COCO's JSON."""

from __future__ import annotations

import csv
import io
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from cmc.errors import UserError
from cmc.utils.safe_read import check_text, parse_json, read_errors

IMAGES = {".jpg", ".jpeg", ".png", ".bmp", ".gif", ".tif", ".tiff", ".webp"}
_TABLES = ("captions.csv", "captions.tsv", "captions.txt", "metadata.csv", "results.csv")  # in this order
_OTHERS = ("metadata.jsonl", "*.token.txt", "*.token", "dataset*.json", "captions_*.json")
SEVERAL = ("joined", "first", "all")
_COLUMNS = {
    "image": ("image", "file_name", "filename", "image_name"),
    "caption": ("caption", "text", "comment", "sentence"),
    "label": ("label", "class", "category"),
}
_TOKEN = re.compile(r"(\S.*)#\d+\t(.*)")  # 1000.jpg#0<TAB>A dog runs.


class Line(NamedTuple):
    """A caption.

    Attributes:
        path: the list.
        place: the line in it.
        image: its name there.
        caption: of the image; empty where there is none.
        label: of the image; None where there are none, empty where this one has none.
    """

    path: Path
    place: str
    image: str
    caption: str
    label: str | None

    @property
    def where(self) -> str:
        """The file, and the line in it."""
        return f"{self.path}, {self.place}"


@dataclass(frozen=True)
class Listed:
    """Pictures with all that is said of each.

    Attributes:
        paths: the lists.
        n_lines: captions in it.
        n_pictures: pictures that it names.
        several: what becomes of several captions of a picture, one of ``SEVERAL``.
        names: of the pictures' files within the folder; each once, unless every caption is a sample.
        captions: of each.
        labels: of each, None where a picture has none; None for no labels at all.
        unusable: position -> why a picture is left out.
    """

    paths: tuple[Path, ...]
    n_lines: int
    n_pictures: int
    several: str
    names: list[str]
    captions: list[str]
    labels: list[str | None] | None
    unusable: dict[int, str]

    @property
    def form(self) -> str:
        """In a few words."""
        n, told = self.n_pictures, {"joined": "joined by picture", "all": "each a sample"}
        how = told.get(self.several, "of which the first of each picture is taken")
        return (
            f"{n} images with {self.paths[0].name}{f', its {self.n_lines} captions {how}' if self.n_lines > n else ''}"
        )


def pictures(folder: Path) -> list[Path]:
    """All picture files in a folder and below, without hidden ones."""
    found = (path for path in folder.rglob("*") if path.suffix.lower() in IMAGES and not path.name.startswith("."))
    return sorted(found)


def listed(folder: Path, several: str = "joined") -> Listed | None:
    """Read the list of pictures and captions in a folder; None where there is none.

    In the folder itself the first that is there is taken; in folders within, such as ``train`` and ``test``, those of
    one form together.

    Args:
        folder: where the list is, or in a folder of it.
        several: captions of one picture are ``joined`` by blanks, or the ``first`` is taken, or ``all`` are samples.

    Raises:
        UserError: it cannot be read; a line of it is wrong; most of its pictures are not there.
    """
    within = sorted(path for path in folder.iterdir() if path.is_dir())
    for places in ([folder], within):
        for pattern in (*_TABLES, *_OTHERS):
            paths = [path for place in places for path in sorted(place.glob(pattern))]
            read = {path: list(lines) for path in paths if (lines := _read(path)) is not None}
            if read:
                return _gathered(folder, read if places is within else dict([next(iter(read.items()))]), several)
    return None


def _read(path: Path) -> Iterable[Line] | None:
    """The lines of a list; None where the file is something else."""
    if path.suffix == ".json":
        return _json(path)
    with read_errors(f"{path}: cannot be read as .csv; save it again", path):
        check_text(path)
        data = path.read_bytes()
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: no UTF-8 text at byte {error.start}; save it as UTF-8") from None
    if path.suffix == ".jsonl":
        return _json_lines(path, text)
    if path.suffix == ".token" or (path.suffix == ".txt" and _TOKEN.match(text)):
        return _tokens(path, text)
    return _table(path, text)


def _tokens(path: Path, text: str) -> Iterator[Line]:
    for number, line in enumerate(text.split("\n"), start=1):
        if (match := _TOKEN.fullmatch(line)) is not None:
            yield Line(path, f"line {number}", match[1], match[2].strip(), None)
        elif line.strip():
            raise UserError(f"{path}, line {number}: is not NAME#NUMBER, a tab and a caption, as the first line is")


def _json_lines(path: Path, text: str) -> Iterator[Line]:
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            where = f"{path}, line {number}"
            with read_errors(f"{where}: is no mapping of JSON", path):
                row = {str(key).lower(): value for key, value in json.loads(line).items()}
            named = {what: next((name for name in names if name in row), None) for what, names in _COLUMNS.items()}
            if named["image"] is None or named["caption"] is None:
                raise UserError(f"{where}: {_needed(list(row))}")
            told = {what: str("" if row[name] is None else row[name]) for what, name in named.items() if name}
            yield Line(path, f"line {number}", told["image"], told["caption"].strip(), told.get("label"))


def _json(path: Path) -> Iterator[Line] | None:
    """Karpathy's JSON, in which captions lie with their pictures, and COCO's, in which they lie apart."""
    with read_errors(f"{path}: cannot be read as JSON; copy or download it again", path):
        held = parse_json(path)
        images, said = held.get("images"), held.get("annotations")
        if not isinstance(images, list):
            return None
        if isinstance(said, list):
            if not all("caption" in each for each in said):  # boxes, or key points
                return None
            named = {image["id"]: str(image["file_name"]) for image in images}
            if unknown := next((each["image_id"] for each in said if each["image_id"] not in named), None):
                raise ValueError(f"a caption is of picture {unknown}, which is not in it")
            return iter(
                Line(path, f"annotation {n}", named[each["image_id"]], str(each["caption"]).strip(), None)
                for n, each in enumerate(said)
            )
        lines = [
            Line(path, f"picture {n}", str(image["filename"]), str(sentence["raw"]).strip(), None)
            for n, image in enumerate(images)
            for sentence in image["sentences"]
        ]
    return iter(lines)


def _table(path: Path, text: str) -> Iterator[Line] | None:
    """Cells set apart by commas, semicolons, tabs or bars, whichever makes the heading one."""
    head = text.split("\n", 1)[0]
    for mark in ",;\t|":
        with read_errors(f"{path}: cannot be read as .csv; save it again", path):
            cells = [cell.strip().lower() for cell in next(csv.reader([head], delimiter=mark), [])]
        named = {
            what: next((cells.index(name) for name in names if name in cells), None) for what, names in _COLUMNS.items()
        }
        if named["image"] is not None and named["caption"] is not None:
            return _rows(path, text, mark, len(cells), named)
    if path.name == "captions.txt":  # that of captions.jpg
        return None
    raise UserError(f"{path}: {_needed(head.split(','))}")


def _rows(path: Path, text: str, mark: str, width: int, named: dict[str, Any]) -> Iterator[Line]:
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=mark)
    with read_errors(f"{path}: cannot be read as .csv; save it again", path):
        next(rows)
        for row in rows:
            where = f"{path}, line {rows.line_num}"
            if not row:
                continue
            if len(row) < width and mark == "|" and row[0].strip():  # so once in Flickr30k's results.csv
                yield Line(path, f"line {rows.line_num}", row[0].strip(), "", None)
                continue
            if len(row) < width:
                raise UserError(f"{where}: a cell is missing; every image needs all columns")
            if len(row) > width:
                raise UserError(f"{where}: more cells than columns; put captions with {mark!r} into quotes")
            label = None if named["label"] is None else row[named["label"]].strip()
            yield Line(path, f"line {rows.line_num}", row[named["image"]].strip(), row[named["caption"]].strip(), label)


def _needed(columns: list[str]) -> str:
    return (
        f"columns {sorted(map(str, columns))}; it needs image and caption (or {', '.join(_COLUMNS['image'][1:])} and "
        f"{', '.join(_COLUMNS['caption'][1:])}), and may have label"
    )


def _gathered(folder: Path, read: Mapping[Path, list[Line]], several: str) -> Listed:
    """One entry a picture, or a caption: its text, its label, and why it cannot be used where that is so."""
    lines = [line for several in read.values() for line in several]
    if not lines:
        raise UserError(f"{next(iter(read))}: holds no line but the heading")
    captions: dict[str, list[str]] = {}
    first: dict[str, Line] = {}
    for line in lines:
        captions.setdefault(line.image, []).append(line.caption)
        if first.setdefault(line.image, line).label != line.label:
            raise UserError(f"{line.where}: {line.image!r} has label {line.label!r} here, and another one before")
    below: dict[str, list[Path]] = {}
    there = pictures(folder)
    for picture in there:
        below.setdefault(picture.name, []).append(picture)
    found = {name: _located(folder, line, below) for name, line in first.items()}
    missing = [name for name, place in found.items() if place is None]
    if 2 * len(missing) > len(found):
        raise UserError(
            f"{first[missing[0]].where}: {missing[0]!r} is no file in {folder}{_and_more(len(missing) - 1)}"
        )
    entries = [(name, text) for name, said in captions.items() for text in _taken(said, several)]
    unusable = {n: "no caption" for n, (_, text) in enumerate(entries) if not text}
    unusable |= {n: "no such file" for n, (name, _) in enumerate(entries) if found[name] is None}
    labels = [first[name].label or None for name, _ in entries]
    names = [found[name] or name for name, _ in entries]
    known = {*names}
    others = [name for picture in there if (name := os.path.relpath(picture, folder)) not in known]
    unusable |= {len(names) + n: f"not in {next(iter(read)).name}" for n in range(len(others))}
    names, texts = names + others, [text for _, text in entries] + [""] * len(others)
    has_labels = any(labels)
    labels += [None] * len(others)
    return Listed(tuple(read), len(lines), len(found), several, names, texts, labels if has_labels else None, unusable)


def _taken(captions: list[str], several: str) -> list[str]:
    """The texts of a picture's samples; one is empty where it has none."""
    said = [caption for caption in captions if caption]
    if several == "joined":
        return [" ".join(said)]
    return (said if several == "all" else said[:1]) or [""]


def _located(folder: Path, line: Line, below: dict[str, list[Path]]) -> str | None:
    """Where a picture lies within the folder: as named, beside the list, or by its name in a folder below."""
    for place in (folder, line.path.parent):
        if line.image and os.path.isfile(place / line.image):  # where Path.is_file raises: a name that is too long
            return os.path.relpath(place / line.image, folder)
    several = below.get(line.image.replace("\\", "/").rpartition("/")[2], [])
    if len(several) > 1:
        raise UserError(
            f"{line.where}: {line.image!r} is in several folders ({several[0]}, {several[1]}); name the path"
        )
    return os.path.relpath(several[0], folder) if several else None


def _and_more(n: int) -> str:
    return f", nor are {n} others of the list" if n else ""
