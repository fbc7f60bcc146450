"""MIRFlickr-25k: 25,000 Flickr images with tags and 24 labels (Huiskes and Lew, MIR 2008)."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from cmc.data.datasets.lear import open_lear
from cmc.data.datasets.published import Published
from cmc.data.preparation.distribution import Distribution, find, read_lines, read_tags
from cmc.errors import UserError


class MirFlickr(Published):
    """``data=mirflickr``: see `cmc.data.datasets.published.Published`."""

    key = "mirflickr"
    title = "MIRFlickr"
    site = "https://press.liacs.nl/mirflickr/mirdownload.html"
    looked_for = "mirflickr/im1.jpg and meta/tags/, mirflickr25k_annotations_v080/; LEAR's mirflickr_train_list.txt"

    def open(self, folder: Path) -> Distribution | None:
        """Open images, tags and annotations, or the LEAR packing."""
        if lear := open_lear(folder, "mirflickr"):
            return lear
        first = find(folder, "im1.jpg", "mirflickr/im1.jpg")
        tags = find(folder, "meta/tags", "mirflickr/meta/tags", "tags")
        if first is None and tags is None:
            return None
        if first is None and tags is not None:
            first = next(tags.parent.parent.glob("im*.jpg"), None)
        ids = _ids(first.parent, "im*.jpg", 2) if first else _ids(tags, "tags*.txt", 4) if tags else []
        concepts, labels, files = _annotations(folder, ids)
        images = first.parent if first else None
        tag_files = [tags / f"tags{number}.txt" for number in ids] if tags else []
        return Distribution(
            form=f"raw distribution ({', '.join(['images'] * bool(images) + ['tags'] * bool(tags) + ['annotations'])})",
            names=[f"im{number}" for number in ids],
            concepts=concepts,
            labels=labels,
            n_common=sum(not name.endswith("_r1") for name in concepts),
            images=None if images is None else lambda row: images / f"im{ids[row]}.jpg",
            texts=None if tags is None else lambda rows: [read_tags(tag_files[row]) for row in rows.tolist()],
            files=(*files, *tag_files),
        )


def _ids(folder: Path, pattern: str, prefix: int) -> list[int]:
    """The images' numbers, in the order of numbers: a sort by name puts im10 before im2."""
    return sorted(int(path.stem[prefix:]) for path in folder.glob(pattern) if path.stem[prefix:].isdecimal())


def _annotations(folder: Path, ids: list[int]) -> tuple[tuple[str, ...], np.ndarray, list[Path]]:
    """The 24 labels' files of image numbers, one a line; the narrower ``_r1`` follow as concepts of their own."""
    readme = find(folder, "mirflickr25k_annotations_v080/sky.txt", "annotations/sky.txt", "sky.txt")
    some = readme or next(iter(sorted([*folder.glob("*_r1.txt"), *folder.glob("*/*_r1.txt")])), None)
    if some is None:
        raise UserError(
            f"{folder}: mirflickr25k_annotations_v080 (sky.txt and 37 others) is missing; unpack its zip here"
        )
    files = [path for path in sorted(some.parent.glob("*.txt")) if path.stem.lower() != "readme"]
    files.sort(key=lambda path: path.stem.endswith("_r1"))
    row = {number: i for i, number in enumerate(ids)}
    labels = np.zeros((len(ids), len(files)), bool)
    for column, path in enumerate(files):
        for line, text in enumerate(read_lines(path), start=1):
            whole = text.isdecimal() and len(text) < 10
            if not whole or int(text) not in row:
                why = "is the number of no image that is here" if whole else "is no image's number"
                raise UserError(f"{path}, line {line}: {text[:30]!r} {why}; unpack images and annotations again")
            labels[row[int(text)], column] = True
    return tuple(path.stem for path in files), labels, files
