"""ESP-Game: images labelled with words by players of a game (von Ahn and Dabbish, CHI 2004)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np

from cmc.data.datasets.lear import open_lear
from cmc.data.datasets.published import Published
from cmc.data.preparation.distribution import Distribution, find, read_tags
from cmc.errors import UserError

_CONCEPTS = 268  # the most frequent words, as many as LEAR's dictionary has
_SUFFIX = ".desc"


class EspGame(Published):
    """``data=espgame``: see `Published`. Its concepts are tags, which the text then leaves out."""

    key = "espgame"
    title = "ESP-Game"
    site = "https://www.cs.cmu.edu/~biglou/resources/"
    looked_for = "ESP-ImageSet/{images,LABELS}/, ESPGame100k/{originals,labels}/, or LEAR's espgame_train_list.txt"

    def open(self, folder: Path) -> Distribution | None:
        """Open either packing of images and ``.desc`` files, or the LEAR packing."""
        if lear := open_lear(folder, "espgame"):
            return lear
        described = find(folder, "LABELS", "ESP-ImageSet/LABELS", "labels", "ESPGame100k/labels")
        if described is None:
            return None
        pictures = next(
            (p for name in ("images", "originals", "thumbnails") if (p := described.parent / name).is_dir()), None
        )
        files = sorted(described.glob(f"*{_SUFFIX}"))
        if not files:
            raise UserError(f"{described}: no {_SUFFIX} file in it; unpack the distribution again")
        names = [path.name.removesuffix(_SUFFIX) for path in files]
        tags = [_tags(path) for path in files]
        concepts, labels = _concepts(tags)
        return Distribution(
            form=f"raw distribution ({described.name}{f', {pictures.name}' if pictures else ''})",
            names=names,
            concepts=concepts,
            labels=labels,
            images=_image(pictures, names) if pictures else None,
            texts=lambda rows: [tags[row] for row in rows.tolist()],
            concepts_are_tags=True,
            files=tuple(files),
        )


def _image(folder: Path, names: list[str]) -> Callable[[int], Path]:
    """Some packings name a label file after the image with its ending, some without."""

    def path(row: int) -> Path:
        plain = folder / names[row]
        return plain if plain.suffix else plain.with_suffix(".jpg")

    return path


def _tags(path: Path) -> list[str]:
    return list(dict.fromkeys(tag.lower() for tag in read_tags(path)))


def _concepts(tags: list[list[str]]) -> tuple[tuple[str, ...], np.ndarray]:
    """The most frequent tags, ties in the order of the alphabet."""
    counts = Counter(tag for words in tags for tag in words)
    concepts = sorted(counts, key=lambda tag: (-counts[tag], tag))[:_CONCEPTS]
    column = {tag: k for k, tag in enumerate(concepts)}
    labels = np.zeros((len(tags), len(concepts)), bool)
    for row, words in enumerate(tags):
        labels[row, [column[tag] for tag in words if tag in column]] = True
    return tuple(concepts), labels
