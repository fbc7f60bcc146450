"""Digits: scikit-learn's handwritten digits, each image cut into a left and a right half."""

from __future__ import annotations

import numpy as np

from cmc.data.modalities import Modalities
from cmc.data.module import DataModule


class Digits(DataModule):
    """``data=digits``: see `load`."""

    def read(self) -> Modalities:
        """Read the data set."""
        return load()


def load() -> Modalities:
    """Load the digits that scikit-learn brings along; no download.

    Returns:
        Modalities ``left`` and ``right``, 1797 x 32 each, float32: columns 0-3 and 4-7 of the 8 x 8 images, row by
        row, pixels from 0 to 16. 10 classes, ``"0"`` to ``"9"``.

    Source:
        E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits, UCI Machine Learning Repository, 1998
        (its test set), as ``sklearn.datasets.load_digits``.
    """
    from sklearn.datasets import load_digits

    digits = load_digits()
    images = np.asarray(digits.images, dtype=np.float32)
    halves = {"left": images[:, :, :4], "right": images[:, :, 4:]}
    return Modalities(
        {name: half.reshape(len(half), 32) for name, half in halves.items()},
        labels=digits.target,
        classes=tuple(map(str, range(10))),
        source="scikit-learn's digits, left and right halves",
    )
