"""Released features, the form that DMIM's authors published: ``img.mat``, ``txt.mat``, ``L.mat`` in a folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cmc.data.formats import read_arrays
from cmc.data.modalities import Modalities, shape_text
from cmc.errors import UserError

_FILES = {
    "image": ("img.mat", "img_1.mat", "image.mat"),
    "text": ("txt.mat", "txt_1.mat", "text.mat"),
    "labels": ("L.mat", "label.mat", "labels.mat", "L_1.mat"),
}
_NAMES = {
    "image": ("img", "temp1", "temp2"),
    "text": ("txt", "temp2", "temp1"),
    "labels": ("L", "label", "labels", "temp3"),
}
_SPLIT = {"image": "img", "text": "txt", "labels": "L"}


def is_released(folder: Path) -> bool:
    """Whether the images' or the texts' file is here."""
    return any((folder / name).is_file() for part in ("image", "text") for name in _FILES[part])


def read_released(folder: Path, title: str = "released features") -> Modalities:
    """Read ``image`` and ``text``, N x d each, with labels where they are there.

    An array is found under ``img``, ``txt``, ``L``, under ``temp1`` and ``temp2``, or, cut in two, under
    ``train_img`` and ``test_img`` and their like.

    Raises:
        UserError: a file that is missing, damaged or holds none of these arrays; modalities that disagree.
    """
    image, text, labels = (_array(folder, part) for part in _FILES)
    for part, array in (("image", image), ("text", text)):
        if array is None:
            raise UserError(f"{folder}: {_FILES[part][0]} is missing beside the other; download both")
    assert image is not None
    assert text is not None
    if labels is not None and labels.ndim == 2 and min(labels.shape) > 1:
        labels = _single(folder, labels)
    return Modalities({"image": image, "text": text}, labels, source=f"{title}, released features in {folder}")


def _array(folder: Path, part: str) -> NDArray[Any] | None:
    path = next((folder / name for name in _FILES[part] if (folder / name).is_file()), None)
    if path is None:
        return None
    variables = read_arrays(path)
    for name in _NAMES[part]:
        if name in variables:
            return variables[name]
    halves = [variables[name] for split in ("train", "test") if (name := f"{split}_{_SPLIT[part]}") in variables]
    if not halves:
        held = ", ".join(variables) or "nothing"
        raise UserError(f"{path}: holds {held}, but {_NAMES[part][0]} is looked for; rename it there")
    if len({half.shape[1:] for half in halves}) > 1:
        shapes = " and ".join(map(shape_text, halves))
        raise UserError(f"{path}: its two parts, {shapes}, do not belong together; download it again")
    return np.concatenate(halves)


def _single(folder: Path, labels: NDArray[Any]) -> NDArray[Any]:
    if ((labels > 0).sum(1) != 1).any():
        row = int(np.argmax((labels > 0).sum(1) != 1))
        raise UserError(f"{folder}: labels, row {row}, name {int((labels[row] > 0).sum())} classes; give one a sample")
    classes: NDArray[Any] = np.argmax(labels, 1)
    return classes
