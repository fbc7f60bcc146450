"""Files: your own features, in any form that ``cmc.data.formats`` reads."""

from __future__ import annotations

from pathlib import Path

from cmc.data import formats
from cmc.data.modalities import Modalities
from cmc.errors import UserError


def load(root: str | Path | None) -> Modalities:
    """Read features from a file or folder.

    Args:
        root: The file or folder; ``~`` stands for the home folder.

    Returns:
        The modalities as ``cmc.data.formats.read`` finds them.

    Raises:
        UserError: No root given, or nothing there that can be read.
    """
    if root is None or not str(root):
        raise UserError(
            f"data.root is not given: name the file or folder of your features; read are {formats.READABLE}"
        )
    return formats.read(Path(root).expanduser())
