"""IAPR TC-12: 20,000 photographs with captions (Grubinger et al., 2006), labelled by region in SAIAPR."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from cmc.data.datasets.lear import open_lear
from cmc.data.datasets.published import Published
from cmc.data.preparation.distribution import Distribution, check_no_page, find, read_lines
from cmc.errors import UserError

_FIELDS = ("TITLE", "DESCRIPTION", "NOTES")
_FIELD = re.compile(rf"<({'|'.join(_FIELDS)})>(.*?)(?=</\1>|<[A-Z]+>|\Z)", re.DOTALL | re.IGNORECASE)


class IaprTc12(Published):
    """``data=iaprtc12``: see `cmc.data.datasets.published.Published`."""

    key = "iaprtc12"
    title = "IAPR TC-12"
    site = "https://www.imageclef.org/photodata"
    looked_for = "iaprtc12/images/ and annotations_complete_eng/, or LEAR's iaprtc12_train_list.txt"

    def open(self, folder: Path) -> Distribution | None:
        """Open captions, images and SAIAPR's labels; or the LEAR packing, with captions where they lie beside it."""
        lear = open_lear(folder, "iaprtc12")
        captions = find(
            folder,
            "annotations_complete_eng",
            "iaprtc12/annotations_complete_eng",
            "annotations",
            "iaprtc12/annotations",
        )
        if captions is None:
            return lear
        files = [path for path in captions.glob("*/*.eng") if path.stem.isdecimal()]
        files.sort(key=lambda path: (path.parent.name, int(path.stem)))
        if not files:
            raise UserError(f"{captions}: no NN/ID.eng in it; unpack the distribution again")
        names = [f"{path.parent.name}/{path.stem}" for path in files]
        texts = [read_caption(path) for path in files]
        pictures = find(folder, "images", "iaprtc12/images")
        concepts, labels, label_files = _from_lear(lear, names) if lear else _regions(folder, names)
        return Distribution(
            form=f"raw distribution (captions{', images' * (pictures is not None)}{', labels' * bool(concepts)})",
            names=names,
            concepts=concepts,
            labels=labels,
            images=None if pictures is None else lambda row: pictures / f"{names[row]}.jpg",
            texts=lambda rows: [texts[row] for row in rows.tolist()],
            concepts_are_tags=lear is not None,
            unusable={row: "no usable annotation" for row, text in enumerate(texts) if not text},
            files=(*label_files, *files),
        )


def read_caption(path: Path) -> str:
    """Title, description and notes of an annotation file, in one line; empty where none is usable.

    The files look like XML and are not: no header, cp1252 or latin-1, stray characters and unclosed fields.

    Raises:
        UserError: it cannot be read, or is a web page.
    """
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); unpack the distribution again") from None
    try:
        text = raw.decode("cp1252")
    except UnicodeDecodeError:
        text = raw.decode("latin-1")
    check_no_page(path, text)
    fields = {name.upper(): " ".join(body.split()) for name, body in _FIELD.findall(text)}
    return " ".join(fields[name] for name in _FIELDS if fields.get(name))


def _regions(folder: Path, names: list[str]) -> tuple[tuple[str, ...], np.ndarray | None, tuple[Path, ...]]:
    """SAIAPR's ``NN/labels.txt``: an image, a region and its label in each line."""
    base = find(folder, "benchmark/saiapr_tc-12", "saiapr_tc-12", "saiapr_tc12_ok/benchmark/saiapr_tc-12")
    if base is None:
        return (), None, ()
    listed = find(base.parent, "wlist.txt") or find(folder, "wlist.txt")
    words = dict(_numbered(listed)) if listed else {}
    row = {name.split("/")[1]: i for i, name in enumerate(names)}
    carried: dict[str, set[int]] = {}
    files = sorted(base.glob("*/labels.txt"))
    for path in files:
        for line, text in enumerate(read_lines(path), start=1):
            cells = text.split()
            if len(cells) < 3:
                raise UserError(
                    f"{path}, line {line}: {text[:40]!r} where image, region and label are meant; unpack it again"
                )
            label = words.get(cells[2], cells[2])
            if cells[0] in row:
                carried.setdefault(label, set()).add(row[cells[0]])
    missing = {name.split("/")[0] for name in names} - {path.parent.name for path in files}
    if missing:
        raise UserError(f"{base}: no {min(missing)}/labels.txt for the images of {min(missing)}/; unpack SAIAPR again")
    concepts = tuple(sorted(carried))
    labels = np.zeros((len(names), len(concepts)), bool)
    for column, concept in enumerate(concepts):
        labels[list(carried[concept]), column] = True
    return concepts, labels, (*files, *([listed] if listed else []))


def _numbered(path: Path) -> list[tuple[str, str]]:
    """Lines of a number and the word that it stands for."""
    return [(cells[0], " ".join(cells[1:])) for line in read_lines(path) if len(cells := line.split()) > 1]


def _from_lear(lear: Distribution, names: list[str]) -> tuple[tuple[str, ...], np.ndarray, tuple[Path, ...]]:
    """The LEAR packing's annotations, for the captions' images; images that it leaves out carry nothing."""
    assert lear.labels is not None
    row = {name: i for i, name in enumerate(lear.names)}
    labels = np.zeros((len(names), len(lear.concepts)), bool)
    shared = [(i, row[name]) for i, name in enumerate(names) if name in row]
    if not shared:
        raise UserError("iaprtc12: LEAR's list and the captions name no image in common; take one of them away")
    here, there = np.array(shared).T
    labels[here] = lear.labels[there]
    return lear.concepts, labels, lear.files
