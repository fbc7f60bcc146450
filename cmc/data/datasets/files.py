"""Files: your own features, in any form that ``cmc.data.formats`` reads."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from cmc.data import formats
from cmc.data.datasets.released import is_released, read_released
from cmc.data.formats.assemble import Found, Told, assembled, not_held_out
from cmc.data.formats.reduction import Components
from cmc.data.modalities import Modalities
from cmc.data.module import DataModule
from cmc.data.preparation.feature_store import is_finished, is_store, read_store
from cmc.data.splitting import split_of
from cmc.errors import UserError
from cmc.utils import validate


class Files(DataModule):
    """``data=files data.root=PATH``: see `load`.

    Args:
        root: the file or folder.
        features: names of the modalities in it; None to find them.
        labels: name of the labels in it; None to find them.
        orientation: samples are ``rows``, ``columns``, or ``auto``.
        ids: name of the array or column of the samples' ids; None to find it.
        incomplete: samples that lack modalities, as for every data set. None uses those with rows of NaN, and refuses
            ids that are not in all modalities, for they may be a mistake.
        split: of training and test parts ``train``, with the other held out, ``test`` or ``all``.
        mask: name of the array that says which samples have which modality; False for none, None to find it.
        settings: of every data set; see `cmc.data.module.DataModule`.

    Attributes:
        components: modality -> what it was reduced by, of large sparse ones, once they are read.
    """

    def __init__(
        self,
        root: str | None = None,
        features: Sequence[str] | None = None,
        labels: str | int | None = None,
        orientation: str = "auto",
        ids: str | int | None = None,
        incomplete: str | None = None,
        split: str = "train",
        mask: str | bool | None = None,
        **settings: Any,
    ) -> None:
        super().__init__(incomplete=incomplete or "use", **settings)
        self.root = validate.text("data.root", root, "the path of a file or folder", or_null=True)
        labels, ids = (str(name) if isinstance(name, int) else name for name in (labels, ids))
        self.components: Components = {}
        self.told = Told(features, labels, orientation, ids, incomplete or "refuse", split, mask)

    @property
    def prepared(self) -> Path | None:
        """The root, where that is a feature folder."""
        path = Path(self.root).expanduser() if self.root else None
        return path if path is not None and is_finished(path) else None

    def read(self) -> Modalities:
        """Read the data set."""
        data, self.components = _load(self.root, self.told, self._training)
        return data

    def _training(self, found: Found) -> np.ndarray | None:
        """The rows that are trained on."""
        return split_of(len(next(iter(found.features.values()))), found.held_out, self.holdout, self.seed)[0]

    def state_dict(self) -> dict[str, Any]:
        """What every data set keeps in checkpoints, and what sparse modalities were reduced by."""
        state = super().state_dict()
        if self.components:
            state["components"] = {name: torch.from_numpy(array) for name, array in self.components.items()}
        return state


def load(root: str | Path | None, told: Told | None = None) -> Modalities:
    """Read features from a file or folder.

    Args:
        root: The file or folder; ``~`` stands for the home folder.
        told: What must not be found out.

    Returns:
        The modalities as ``cmc.data.formats.read`` finds them; a feature folder and released features as their own
        readers do.

    Raises:
        UserError: No root given, or nothing there that can be read.
    """
    return _load(root, told or Told(), not_held_out)[0]


def _load(
    root: str | Path | None, told: Told, training: Callable[[Found], np.ndarray | None]
) -> tuple[Modalities, Components]:
    path = located(root)
    if (made := read_folder(path, told)) is not None:
        return made, {}
    return assembled(path, formats.read_contents(path, told.ids), told, training)


def located(root: str | Path | None) -> Path:
    """The file or folder that is meant.

    Raises:
        UserError: None is given.
    """
    if not root:
        raise UserError(
            f"data.root is not given: name the file or folder of your features; what can be read: {formats.READABLE}"
        )
    return Path(root).expanduser()


def read_folder(path: Path, told: Told) -> Modalities | None:
    """Read a feature folder or released features; None where it is neither, or the user told what is what.

    Raises:
        UserError: The folder is damaged.
    """
    if told.is_what:
        return None
    if is_store(path):
        return read_store(path)
    return read_released(path) if is_released(path) else None
