"""Files: your own features, in any form that ``cmc.data.formats`` reads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cmc.data import formats
from cmc.data.modalities import Modalities
from cmc.data.module import DataModule
from cmc.errors import UserError


class Files(DataModule):
    """``data=files data.root=PATH``: see `load`.

    Args:
        root: the file or folder.
        settings: of every data set; see `cmc.data.module.DataModule`.
    """

    def __init__(self, root: str | None = None, **settings: Any) -> None:
        super().__init__(**settings)
        self._root = root

    def read(self) -> Modalities:
        """Read the data set."""
        return load(self._root)


def load(root: str | Path | None) -> Modalities:
    """Read features from a file or folder.

    Args:
        root: The file or folder; ``~`` stands for the home folder.

    Returns:
        The modalities as ``cmc.data.formats.read`` finds them.

    Raises:
        UserError: No root given, or nothing there that can be read.
    """
    if not root:
        raise UserError(
            f"data.root is not given: name the file or folder of your features; what can be read: {formats.READABLE}"
        )
    return formats.read(Path(root).expanduser())
