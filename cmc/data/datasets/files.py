"""Files: your own features, in any form that ``cmc.data.formats`` reads."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cmc.data import formats
from cmc.data.datasets.released import is_released, read_released
from cmc.data.formats.assemble import Told, assemble
from cmc.data.formats.joining import INCOMPLETE
from cmc.data.modalities import Modalities
from cmc.data.module import DataModule
from cmc.data.preparation.feature_store import is_finished, is_store, read_store
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
        incomplete: samples that lack modalities, as for every data set; ``drop`` leaves out those, too, whose ids are
            not in all modalities, which are refused otherwise.
        split: of training and test parts ``train``, with the other held out, ``test`` or ``all``.
        settings: of every data set; see `cmc.data.module.DataModule`.
    """

    def __init__(
        self,
        root: str | None = None,
        features: Sequence[str] | None = None,
        labels: str | int | None = None,
        orientation: str = "auto",
        ids: str | int | None = None,
        incomplete: str = "use",
        split: str = "train",
        **settings: Any,
    ) -> None:
        super().__init__(incomplete=incomplete, **settings)
        self.root = validate.text("data.root", root, "the path of a file or folder", or_null=True)
        labels, ids = (str(name) if isinstance(name, int) else name for name in (labels, ids))
        ids_apart = self.incomplete if self.incomplete in INCOMPLETE else "refuse"
        self.told = Told(features, labels, orientation, ids, ids_apart, split)

    @property
    def prepared(self) -> Path | None:
        """The root, where that is a feature folder."""
        path = Path(self.root).expanduser() if self.root else None
        return path if path is not None and is_finished(path) else None

    def read(self) -> Modalities:
        """Read the data set."""
        return load(self.root, self.told)


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
    path, told = located(root), told or Told()
    return read_folder(path, told) or assemble(path, formats.read_contents(path, told.ids), told)


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
