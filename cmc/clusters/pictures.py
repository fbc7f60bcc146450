"""Thumbnails: small WebP, in the page, or on sheets beside it."""

from __future__ import annotations

import io
from base64 import b64encode
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from cmc.data.preparation.images import Unreadable, thumbnail
from cmc.errors import UserError
from cmc.utils.atomic import atomic_write

if TYPE_CHECKING:
    from PIL.Image import Image

EMBEDDED = 5000  # pictures that the page itself holds; more lie on sheets beside it
COLUMNS = 16  # pictures in a row of a sheet, and rows of a sheet
_SIDES = ((1000, 128), (EMBEDDED, 96))  # up to so many pictures, so many pixels
_SMALL = 64
_QUALITY = 70
_READERS = 4  # at once


class Thumbnails(NamedTuple):
    """Pictures made small.

    Attributes:
        side: pixels of the longer side.
        texts: of each a WebP in base 64, empty where there is none; empty where they lie on sheets.
        sheets: the sheets' file names within their folder.
        lost: position -> why there is no picture.
    """

    side: int
    texts: list[str]
    sheets: list[str]
    lost: dict[int, str]


def side_for(n: int) -> int:
    """Pixels of the longer side, of so many pictures."""
    return next((side for most, side in _SIDES if n <= most), _SMALL)


def embedded(paths: Sequence[Path | None], advance: Callable[[int], None]) -> Thumbnails:
    """Thumbnails for within a page.

    Args:
        paths: a picture each, or None.
        advance: told the number of pictures that were read.
    """
    side, lost = side_for(len(paths)), {}
    texts = []
    for i, small in enumerate(_small(paths, side)):
        if isinstance(small, str):
            lost[i] = small
            texts.append("")
        else:
            texts.append(b64encode(_webp(small)).decode())
        advance(1)
    return Thumbnails(side, texts, [], lost)


def sheets(paths: Sequence[Path | None], folder: Path, advance: Callable[[int], None]) -> Thumbnails:
    """Thumbnails on sheets of 16 x 16, in the order of the paths, in place of earlier ones in the folder.

    Args:
        paths: a picture each, or None.
        folder: where the sheets go.
        advance: told the number of pictures that were read.
    """
    from PIL import Image

    for old in folder.glob("sheet-*.webp"):
        old.unlink()
    side, lost, names = side_for(len(paths)), {}, []
    each = COLUMNS * COLUMNS
    for start in range(0, len(paths), each):
        here = paths[start : start + each]
        sheet = Image.new("RGB", (COLUMNS * side, -(-len(here) // COLUMNS) * side), "white")
        for i, small in enumerate(_small(here, side)):
            if isinstance(small, str):
                lost[start + i] = small
            else:
                corner = (side - small.width) // 2, (side - small.height) // 2
                sheet.paste(small, (i % COLUMNS * side + corner[0], i // COLUMNS * side + corner[1]))
            advance(1)
        names.append(f"sheet-{start // each:04d}.webp")
        with atomic_write(folder / names[-1]) as path:
            path.write_bytes(_webp(sheet))
    return Thumbnails(side, [], names, lost)


def check_pillow() -> None:
    """Refuse to go on without Pillow.

    Raises:
        UserError: it is not there.
    """
    try:
        import PIL  # noqa: F401
    except ImportError:
        raise UserError("the gallery needs pillow: pip install 'cmc[gallery]'") from None


def _small(paths: Sequence[Path | None], side: int) -> Iterable[Image | str]:
    """Of each a small picture, or why there is none; a few hundred at once lie in memory."""

    def made(path: Path | None) -> Image | str:
        if path is None:
            return "no picture"
        try:
            return thumbnail(path, side)
        except (Unreadable, OSError) as error:
            return str(error) or type(error).__name__

    with ThreadPoolExecutor(_READERS) as pool:
        for start in range(0, len(paths), COLUMNS * COLUMNS):
            yield from pool.map(made, paths[start : start + COLUMNS * COLUMNS])


def _webp(image: Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "WEBP", quality=_QUALITY)
    return buffer.getvalue()
