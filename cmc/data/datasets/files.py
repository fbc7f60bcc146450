"""Files: your own features, in any form that ``cmc.data.formats`` reads."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cmc.data import formats
from cmc.data.datasets.released import is_released, read_released
from cmc.data.formats.assemble import ORIENTATIONS
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
        settings: of every data set; see `cmc.data.module.DataModule`.
    """

    def __init__(
        self,
        root: str | None = None,
        features: Sequence[str] | None = None,
        labels: str | None = None,
        orientation: str = "auto",
        **settings: Any,
    ) -> None:
        super().__init__(**settings)
        self.root = validate.text("data.root", root, "the path of a file or folder", or_null=True)
        are_names = features is None or validate.is_names(features)
        validate.require("data.features", features, are_names, "a list of names, such as [img,txt], or null")
        validate.text("data.labels", labels, "the name of an array or file, or null", or_null=True)
        validate.one_of("data.orientation", orientation, ORIENTATIONS)
        self.told: dict[str, Any] = {"features": features, "labels": labels, "orientation": orientation}

    @property
    def prepared(self) -> Path | None:
        """The root, where that is a feature folder."""
        path = Path(self.root).expanduser() if self.root else None
        return path if path is not None and is_finished(path) else None

    def read(self) -> Modalities:
        """Read the data set."""
        return load(self.root, **self.told)


def load(root: str | Path | None, **told: Any) -> Modalities:
    """Read features from a file or folder.

    Args:
        root: The file or folder; ``~`` stands for the home folder.
        told: ``features``, ``labels`` and ``orientation`` of ``cmc.data.formats.read``, where it must not find out.

    Returns:
        The modalities as ``cmc.data.formats.read`` finds them; a feature folder and released features as their own
        readers do.

    Raises:
        UserError: No root given, or nothing there that can be read.
    """
    path = located(root)
    return read_folder(path, **told) or formats.read(path, **told)


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


def read_folder(path: Path, **told: Any) -> Modalities | None:
    """Read a feature folder or released features; None where it is neither, or the user told what is what.

    Raises:
        UserError: The folder is damaged.
    """
    if any(value not in (None, "auto") for value in told.values()):
        return None
    if is_store(path):
        return read_store(path)
    return read_released(path) if is_released(path) else None
