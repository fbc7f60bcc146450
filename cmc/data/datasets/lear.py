"""LEAR's packing (Guillaumin et al.) of ESP-Game, IAPR TC-12 and MIRFlickr: flat lists, annotations, 15 features."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from cmc.data.preparation.distribution import Distribution, Rows, check_unique, read_lines
from cmc.data.preparation.records import VectorTable, is_vectors
from cmc.errors import UserError

_SPLITS = ("train", "test")


def open_lear(root: Path, name: str) -> Distribution | None:
    """Open ``<name>_{train,test}_list.txt`` and what lies beside them; None when the lists are not there.

    Labels are the annotations' words. The text is the file of tags where there is one, else the annotations, whose
    chosen words are then left out of it.

    Raises:
        UserError: a file that is missing, cut short or does not fit its list.
    """
    folder = next(
        (x.parent for x in sorted([*root.glob(f"{name}_*_list.txt"), *root.glob(f"*/{name}_*_list.txt")])), None
    )
    if folder is None:
        return None
    splits = [split for split in _SPLITS if any(folder.glob(f"{name}_{split}_*"))]
    lists = [folder / f"{name}_{split}_list.txt" for split in splits]
    parts = [read_lines(path) for path in lists]
    names = [sample for part in parts for sample in part]
    check_unique(dict(zip(lists, parts, strict=True)))
    ends = np.cumsum([len(part) for part in parts])
    rows = [np.arange(end - len(part), end) for end, part in zip(ends, parts, strict=True)]
    tables = _tables(folder, name, splits, rows)
    annotations = tables.pop("annot", None)
    dictionary = folder / f"{name}_dictionary.txt"
    if annotations is None or not dictionary.exists():
        missing = dictionary.name if annotations is not None else f"{name}_{splits[0]}_annot.hvecs"
        raise UserError(f"{folder}: {missing} is missing beside {lists[0].name}; it belongs to the same packing")
    words = tuple(read_lines(dictionary))
    if len(words) != annotations.width:
        raise UserError(
            f"{dictionary}: {len(words)} words, but {annotations.paths[0]} has {annotations.width} columns; "
            "download both again"
        )
    labels = np.zeros((len(names), len(words)), bool)
    for part in range(len(lists)):
        for positions, values in annotations.blocks(part):
            labels[positions] = values > 0
    tags = tables.pop("tags", None)
    return Distribution(
        form=f"LEAR packing ({', '.join(sorted(tables)) or 'no features'})",
        names=names,
        concepts=words,
        labels=labels,
        tables=tables,
        tags=tags or annotations,
        tag_names=() if tags else words,
        concepts_are_tags=tags is None,
        files=(*lists, dictionary, *annotations.paths),
    )


def _tables(folder: Path, name: str, splits: list[str], rows: list[Rows]) -> dict[str, VectorTable]:
    """Every feature that all splits have."""
    found: dict[str, list[Path]] = {}
    for split in splits:
        prefix = f"{name}_{split}_"
        for path in sorted(folder.glob(f"{prefix}*")):
            if is_vectors(path):
                found.setdefault(path.stem.removeprefix(prefix), []).append(path)
    for feature, paths in found.items():
        if len(paths) != len(splits):
            raise UserError(
                f"{paths[0]}: {feature} is there for {paths[0].stem.split('_')[1]} alone, not for all of "
                f"{', '.join(splits)}; download the others, or move it away"
            )
    return {feature: VectorTable(paths, rows) for feature, paths in found.items()}
