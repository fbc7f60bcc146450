"""NUS-WIDE: 269,648 Flickr images with tags and 81 concepts (Chua et al., CIVR 2009)."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from cmc.data.datasets.published import Published
from cmc.data.preparation.distribution import Distribution, Rows, find, read_lines
from cmc.data.preparation.records import TextTable
from cmc.errors import UserError

log = logging.getLogger(__name__)

_FEATURES = ("CH", "CORR", "EDH", "WT", "CM55", "BoW")
_DEFECT = -1130179  # Labels_lake_Train.txt, line 78,372, as distributed


class NusWide(Published):
    """``data=nuswide``: see `cmc.data.datasets.published.Published`."""

    key = "nuswide"
    title = "NUS-WIDE"
    site = "https://lms.comp.nus.edu.sg/wp-content/uploads/2019/research/nuswide/NUS-WIDE.html"
    looked_for = "ImageList/, Groundtruth/, NUS_WID_Tags/, NUS_WID_Low_Level_Features/"

    def open(self, folder: Path) -> Distribution | None:
        """Open what is there of lists, ground truth, tags, low-level features and images."""
        truth = (
            find(folder, "Groundtruth/AllLabels", "AllLabels"),
            find(folder, "Groundtruth/TrainTestLabels", "TrainTestLabels"),
        )
        if truth == (None, None):
            return None
        orders, names, lists = _orders(folder, truth)
        concepts, labels, label_files = _labels(folder, truth, orders)
        features = {name: table for name in _FEATURES if (table := _features(folder, name, orders))}
        tags, words, tag_files = _tags(folder, orders)
        flickr = find(folder, "Flickr", "images")
        texts = find(folder, "NUS_WID_Tags/All_Tags.txt", "All_Tags.txt")
        parts = ["ground truth", *features, *(["tags"] if tags else []), *(["images"] if flickr else [])]
        return Distribution(
            form=f"raw distribution ({', '.join(parts)})",
            names=names,
            concepts=concepts,
            labels=labels,
            tables=features,
            images=None if flickr is None else lambda row: flickr / names[row],
            texts=None if texts is None else _texts(texts, orders, len(names)),
            tags=tags,
            tag_names=words,
            files=(*lists, *label_files, *tag_files),
        )


Orders = Mapping[str, Rows]  # all, train, test: the positions of the samples that a file's lines are about


def _orders(folder: Path, truth: tuple[Path | None, Path | None]) -> tuple[Orders, list[str], list[Path]]:
    """Bring the three lists into one order, that of the whole list where it is there."""
    found = {
        key: path
        for key, name in (("all", "Imagelist"), ("train", "TrainImagelist"), ("test", "TestImagelist"))
        if (path := find(folder, f"ImageList/{name}.txt", f"{name}.txt"))
    }
    lists = {key: [line.replace("\\", "/") for line in read_lines(path)] for key, path in found.items()}
    if "all" not in lists and not {"train", "test"} <= lists.keys():
        raise UserError(f"{folder}: ImageList/Imagelist.txt is missing; it says which line is which image: add it")
    if "all" not in lists:
        names, n = lists["train"] + lists["test"], len(lists["train"])
        return {"train": np.arange(n), "test": np.arange(n, len(names))}, names, list(found.values())
    names = lists["all"]
    orders: dict[str, Rows] = {"all": np.arange(len(names))}
    places: defaultdict[str, list[int]] = defaultdict(list)
    for row, name in enumerate(names):
        places[name].append(row)
    if {"train", "test"} <= lists.keys():
        for key in ("train", "test"):
            orders[key] = _placed(lists[key], places, found[key], found["all"])
        if (split := len(lists["train"]) + len(lists["test"])) != len(names):
            raise UserError(
                f"{found['all'].parent}: Imagelist.txt has {len(names)} lines, TrainImagelist.txt and "
                f"TestImagelist.txt together {split}; cut short? download all three again"
            )
    return orders, names, list(found.values())


def _placed(part: list[str], places: Mapping[str, list[int]], path: Path, whole: Path) -> Rows:
    """Positions of a part's lines in the whole list, taken from ``places``: two in all for a name listed twice."""
    rows = np.empty(len(part), np.int64)
    for line, name in enumerate(part):
        if not places.get(name):
            raise UserError(
                f"{path}, line {line + 1}: {name!r} is not in {whole}, the list of all, or not so often; "
                "download all lists again"
            )
        rows[line] = places[name].pop(0)
    return rows


def _labels(
    folder: Path, truth: tuple[Path | None, Path | None], orders: Orders
) -> tuple[tuple[str, ...], Any, list[Path]]:
    """Concepts, N x C, and the files of the ground truth, one a concept or two."""
    whole, split = truth
    if whole is not None and "all" in orders:
        place, endings = whole, {"all": ""}
    elif split is not None and "train" in orders:
        place, endings = split, {"train": "_Train", "test": "_Test"}
    else:
        raise UserError(f"{folder}: ImageList/ has not the lists of this ground truth; add all three of them")
    listed = find(folder, "ConceptsList/Concepts81.txt", "Concepts81.txt")
    last = next(iter(endings.values()))
    present = sorted(path.stem.removeprefix("Labels_") for path in place.glob(f"Labels_*{last}.txt"))
    if not present:
        raise UserError(f"{place}: no Labels_<concept>{last}.txt in it; unpack Groundtruth again")
    there = [name.removesuffix(last) for name in present]
    concepts = read_lines(listed) if listed else there
    if listed and (unlisted := [name for name in there if name not in concepts]):
        raise UserError(f"{listed}: does not list {unlisted[0]}, whose labels are in {place}; download it again")
    labels = np.zeros((sum(len(orders[key]) for key in endings), len(concepts)), bool)
    files = []
    for column, concept in enumerate(concepts):
        for key, ending in endings.items():
            path = place / f"Labels_{concept}{ending}.txt"
            labels[orders[key], column] = _flags(path, len(orders[key]))
            files.append(path)
    return tuple(concepts), labels, files


def _flags(path: Path, n: int) -> Any:
    """The 0s and 1s of a ground truth file; the one known defect counts as 0."""
    lines = read_lines(path)
    if len(lines) != n:
        raise UserError(f"{path}: {len(lines)} lines for {n} images; cut short? download it again")
    try:
        values = np.array(lines, dtype=np.int64)
    except (ValueError, OverflowError):
        row = next(i for i, line in enumerate(lines) if line not in ("0", "1", str(_DEFECT)))
        raise UserError(
            f"{path}, line {row + 1}: {lines[row][:30]!r} where 0 or 1 is meant; download it again"
        ) from None
    odd = np.flatnonzero((values != 0) & (values != 1))
    for row in odd.tolist():
        if values[row] != _DEFECT:
            raise UserError(f"{path}, line {row + 1}: {values[row]} where 0 or 1 is meant; download it again")
        log.warning("data: %s, line %d: %d, a known defect of the distribution, counts as 0", path, row + 1, _DEFECT)
    return values == 1


def _features(folder: Path, name: str, orders: Orders) -> TextTable | None:
    """One low-level feature."""
    low, bases = "Low_Level_Features/", ("NUS_WID_Low_Level_Features/", "")
    files = ["BoW_int", "BoW_Train_int", "BoW_Test_int"]
    if name != "BoW":
        files = [f"{part}Normalized_{name}" for part in ("", "Train_", "Test_")]
    places = [base + inner for inner in (low, "") for base in bases]
    return _table([find(folder, *(f"{place}{file}.dat" for place in places)) for file in files], orders)


def _table(paths: Sequence[Path | None], orders: Orders, dtype: str = "float32") -> TextTable | None:
    """The numbers of all images, or of the training and test images, whichever are there with their lists."""
    whole, train, test = paths
    if whole and "all" in orders:
        return TextTable([whole], [orders["all"]], dtype)
    if train and test and "train" in orders:
        return TextTable([train, test], [orders["train"], orders["test"]], dtype)
    if there := train or test:
        if not (train and test):
            raise UserError(f"{there}: its other half (Train or Test) is missing; add it, or move this one away")
        raise UserError(f"{there}: TrainImagelist.txt and TestImagelist.txt, which it follows, are missing; add them")
    if whole:
        raise UserError(f"{whole}: Imagelist.txt, which it follows line by line, is missing; add it")
    return None


def _tags(folder: Path, orders: Orders) -> tuple[TextTable | None, tuple[str, ...], list[Path]]:
    """The matrix of the 1,000 most frequent tags."""
    words, *paths = (
        find(folder, f"NUS_WID_Tags/{name}", name)
        for name in ("TagList1k.txt", "AllTags1k.txt", "Train_Tags1k.dat", "Test_Tags1k.dat")
    )
    listed = tuple(read_lines(words)) if words else ()
    table = _table(paths, orders, "uint8")
    if table is not None and listed and len(listed) != table.width:
        raise UserError(
            f"{words}: {len(listed)} tags, but {table.paths[0]} has {table.width} columns; download both again"
        )
    return table, listed, [words] if words else []


def _texts(path: Path, orders: Orders, n: int) -> Callable[[Rows], list[list[str]]]:
    """The tags of chosen images: lines of a photo id, then tags, in the order of the whole list."""

    @cache
    def lines() -> list[str]:
        if "all" not in orders:
            raise UserError(f"{path}: Imagelist.txt, which it follows line by line, is missing; add it")
        read = read_lines(path)
        if len(read) != n:
            raise UserError(f"{path}: {len(read)} lines for {n} images; cut short? download it again")
        return read

    return lambda rows: [lines()[row].split()[1:] for row in rows.tolist()]
