"""Images from files, and the vector of an image that takes no model: colour and gradient histograms."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from PIL.Image import Image

MOST_PIXELS = 2**26  # of one image that is still decoded: 192 MiB as RGB
SIDE = 128  # pixels of the square that every image is resized to
COLOURS = (8, 3, 3)  # bins of hue, saturation and value
COLOUR_GRID = 2  # cells a side
ORIENTATIONS = 8  # bins over half a turn, the first one centred on a horizontal gradient
GRADIENT_GRID = 4  # cells a side


class Unreadable(Exception):
    """A file that cannot be read as an image, completely; the message is the reason in a few words."""


def open_image(path: Path, at_least: int | None = None) -> Image:
    """Read an image file completely, of an animation the first frame.

    Args:
        path: A file in any format that Pillow reads.
        at_least: A size in pixels that is enough, by which large photographs are read in a fraction of the time; None
            for the image as it is.

    Returns:
        The image in mode RGB, turned upright as its EXIF data say; what is transparent shows white, 16-bit grey is
        scaled to 8 bits.

    Raises:
        Unreadable: The file is missing, is no image, is damaged or cut short, or has more than ``MOST_PIXELS`` pixels.
    """
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path) as image:
            if image.width * image.height > MOST_PIXELS:
                raise Unreadable(f"{image.width} x {image.height} pixels are too many")
            if at_least is not None:
                image.draft("RGB", (at_least, at_least))  # of a JPEG; others stay as they are
            image.load()
            return _rgb(_upright(image))
    except Unreadable:
        raise
    except UnidentifiedImageError:
        raise Unreadable(_what_else(path)) from None
    except Image.DecompressionBombError:
        raise Unreadable("far too many pixels") from None
    except Exception as fault:  # Pillow's readers meet broken bytes with errors of any type
        raise Unreadable(_reason(fault)) from None


class Histograms:
    """Colour and gradient histograms: what an image looks like, without a model.

    An image is resized to ``SIDE`` x ``SIDE`` pixels. Its blocks are the joint histograms of hue, saturation and value
    of the whole image and of the cells of a 2 x 2 grid, and the histograms of the gradients' orientations, weighted by
    their lengths, in the cells of a 4 x 4 grid. Each block is divided by its sum and square-rooted, so that the
    product of two blocks is their Bhattacharyya coefficient.

    Attributes:
        name: what made the vectors.
        width: numbers in a vector, 488.

    Source:
        N. Dalal and B. Triggs, Histograms of Oriented Gradients for Human Detection, CVPR 2005; R. Arandjelovic and
        A. Zisserman, Three Things Everyone Should Know to Improve Object Retrieval, CVPR 2012 (the square root).
    """

    name = "colour and gradient histograms, version 1"
    width = (1 + COLOUR_GRID**2) * int(np.prod(COLOURS)) + GRADIENT_GRID**2 * ORIENTATIONS

    def __call__(self, images: Sequence[Image]) -> NDArray[np.float32]:
        """Return B x ``width`` float32 for B images in mode RGB."""
        from PIL.Image import Resampling

        vectors = np.empty((len(images), self.width), np.float32)
        for vector, image in zip(vectors, images, strict=True):
            small = image.resize((SIDE, SIDE), Resampling.BILINEAR)
            blocks = [*_colour_blocks(small), *_gradient_blocks(small)]
            vector[:] = np.concatenate([_hellinger(block) for block in blocks])
        return vectors


def thumbnail(path: Path, side: int) -> Image:
    """A picture whose longer side has at most so many pixels.

    Raises:
        Unreadable: as of `open_image`.
    """
    image = open_image(path, 2 * side)
    image.thumbnail((side, side))
    return image


def _rgb(image: Image) -> Image:
    from PIL import Image

    if image.mode.startswith("I;16"):
        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8)).convert("RGB")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert("RGB")


def _upright(image: Image) -> Image:
    from PIL import ImageOps

    try:
        return ImageOps.exif_transpose(image)
    except Exception:  # broken EXIF data around a sound image
        return image


def _what_else(path: Path) -> str:
    """Say what a file is that Pillow does not take for an image."""
    with path.open("rb") as file:
        start = file.read(1024).lower()
    if not start:
        return "empty"
    return "is a web page" if b"<html" in start or b"<!doctype html" in start else "no image"


def _reason(fault: Exception) -> str:
    for kind, reason in {
        FileNotFoundError: "no such file",
        IsADirectoryError: "is a folder",
        PermissionError: "may not be read",
        EOFError: "cut short",
    }.items():
        if isinstance(fault, kind):
            return reason
    text = " ".join(str(fault).split())
    return "cut short" if "truncated" in text.lower() else f"damaged ({text[:60] or type(fault).__name__})"


def _colour_blocks(image: Image) -> NDArray[np.int64]:
    """Count the colours of the whole image, then of each cell, row by row: 5 x 72."""
    bins = np.zeros((SIDE, SIDE), np.int64)
    for channel, count in zip(np.moveaxis(np.asarray(image.convert("HSV"), np.int64), 2, 0), COLOURS, strict=True):
        bins = bins * count + channel * count // 256
    cells = _counts(bins, COLOUR_GRID, int(np.prod(COLOURS)))
    return np.concatenate([cells.sum(axis=0, keepdims=True), cells]).astype(np.int64)


def _gradient_blocks(image: Image) -> NDArray[np.float64]:
    """Sum the gradients' lengths by orientation in each cell, row by row: 16 x 8.

    A gradient is a central difference of the grey image; beyond the border the image goes on unchanged. Its sign does
    not count.
    """
    grey = np.pad(np.asarray(image.convert("L"), np.float32), 1, mode="edge")
    across = grey[1:-1, 2:] - grey[1:-1, :-2]
    down = grey[2:, 1:-1] - grey[:-2, 1:-1]
    turn = np.arctan2(down, across) * (ORIENTATIONS / np.pi)
    bins = np.floor(turn + 0.5).astype(np.int64) % ORIENTATIONS
    return _counts(bins, GRADIENT_GRID, ORIENTATIONS, np.hypot(across, down))


def _counts(
    bins: NDArray[np.int64], grid: int, count: int, weights: NDArray[np.float32] | None = None
) -> NDArray[np.float64]:
    """Histogram a square image of bin numbers in each cell of a grid: grid^2 x count."""
    line = np.arange(SIDE) * grid // SIDE
    cells = (line[:, None] * grid + line) * count + bins
    counts = np.bincount(cells.ravel(), None if weights is None else weights.ravel(), minlength=grid**2 * count)
    return counts.reshape(grid**2, count).astype(np.float64)


def _hellinger(block: NDArray[np.generic]) -> NDArray[np.float64]:
    total = np.sum(block, dtype=np.float64)
    return np.sqrt(block / total) if total else np.zeros(block.shape)
