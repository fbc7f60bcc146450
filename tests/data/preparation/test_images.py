from __future__ import annotations

import contextlib
import math
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from cmc.data.preparation import images
from cmc.data.preparation.images import Histograms, Unreadable, open_image


def noise(side: int = 128, seed: int = 0) -> Image.Image:
    """Coloured noise with structure at several scales, so that every bin is met."""
    rng = np.random.default_rng(seed)
    layers = [Image.fromarray(rng.integers(0, 256, (n, n, 3), dtype=np.uint8)).resize((side, side)) for n in (4, 16)]
    return Image.blend(layers[0], layers[1], 0.4)


def reason(path: Path) -> str:
    with pytest.raises(Unreadable) as caught:
        open_image(path)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# opening


@pytest.mark.parametrize("mode", ["L", "1", "P", "CMYK", "YCbCr", "RGBA", "LA"])
def test_every_mode_becomes_rgb(tmp_path: Path, mode: str) -> None:
    file = tmp_path / "image.tif"
    noise(20).convert("L").convert(mode).save(file if mode != "P" else file.with_suffix(".png"))
    opened = open_image(next(tmp_path.iterdir()))
    assert (opened.mode, opened.size) == ("RGB", (20, 20))
    expected = noise(20).convert("L").convert("1" if mode == "1" else "L")
    np.testing.assert_allclose(np.asarray(opened)[..., 1], np.asarray(expected.convert("L")), atol=3)


def test_sixteen_bits_of_grey_are_scaled(tmp_path: Path) -> None:
    ramp = np.arange(256, dtype=np.uint16).reshape(16, 16)
    Image.fromarray(ramp * 257).save(tmp_path / "deep.png")
    np.testing.assert_array_equal(np.asarray(open_image(tmp_path / "deep.png"))[..., 0], ramp)


def test_what_is_transparent_shows_white(tmp_path: Path) -> None:
    pixels = np.zeros((2, 2, 4), np.uint8)
    pixels[0] = [10, 20, 30, 255]
    Image.fromarray(pixels).save(tmp_path / "icon.png")
    opened = np.asarray(open_image(tmp_path / "icon.png"))
    assert (opened[0] == [10, 20, 30]).all()
    assert (opened[1] == 255).all()


def test_is_turned_upright(tmp_path: Path) -> None:
    """Orientation 6: the camera was held so that the first row is the right-hand side."""
    upright = np.zeros((10, 20, 3), np.uint8)
    upright[:, 10:] = 255
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(np.rot90(upright)).save(tmp_path / "turned.png", exif=exif)
    np.testing.assert_array_equal(np.asarray(open_image(tmp_path / "turned.png")), upright)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
def test_broken_exif_around_a_sound_image(tmp_path: Path) -> None:
    noise(20).save(tmp_path / "image.jpg", exif=b"Exif\x00\x00MM\x00\x2a\x00\x00\xff\xff\xff\xff")
    assert open_image(tmp_path / "image.jpg").size == (20, 20)
    noise(20).save(tmp_path / "image.jpg", exif=b"Exif\x00\x00nonsense")
    assert open_image(tmp_path / "image.jpg").size == (20, 20)


def test_stays_open_after_its_file_is_gone(tmp_path: Path) -> None:
    noise(20).save(tmp_path / "image.png")
    opened = open_image(tmp_path / "image.png")
    (tmp_path / "image.png").unlink()
    np.testing.assert_array_equal(np.asarray(opened), np.asarray(noise(20)))


@pytest.mark.parametrize("suffix", ["jpg", "png", "gif", "bmp", "webp"])
@pytest.mark.parametrize("kept", [0.2, 0.5, 0.9])
def test_cut_short(tmp_path: Path, suffix: str, kept: float) -> None:
    file = tmp_path / f"image.{suffix}"
    noise(200).save(file)
    file.write_bytes(file.read_bytes()[: int(kept * file.stat().st_size)])
    assert reason(file)
    if suffix in ("jpg", "png", "bmp"):
        assert reason(file) == "cut short"


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "empty"),
        (b"just text", "no image"),
        (b"\n<!DOCTYPE html>\n<p>Photo is no longer available", "is a web page"),
        (b"<?xml version='1.0'?><HTML lang='en'>", "is a web page"),
    ],
)
def test_no_image(tmp_path: Path, content: bytes, expected: str) -> None:
    (tmp_path / "image.jpg").write_bytes(content)
    assert reason(tmp_path / "image.jpg") == expected


def test_no_file(tmp_path: Path) -> None:
    assert reason(tmp_path / "none.jpg") == "no such file"
    assert reason(tmp_path) == "is a folder"


def declared(width: int, height: int) -> bytes:
    """A PNG of a few bytes that claims to be large."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(bytes(99))) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("side", "expected"), [(8200, "8200 x 8200 pixels are too many"), (60000, "far too many pixels"), (9, "cut short")]
)
def test_declared_size(tmp_path: Path, side: int, expected: str) -> None:
    (tmp_path / "image.png").write_bytes(declared(side, side))
    assert reason(tmp_path / "image.png") == expected


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
def test_broken_bytes_raise_nothing_else(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for suffix in ("jpg", "png", "gif", "tif", "webp"):
        noise(30).save(tmp_path / f"image.{suffix}")
        sound = np.frombuffer((tmp_path / f"image.{suffix}").read_bytes(), np.uint8)
        for _ in range(40):
            broken = sound.copy()
            broken[rng.integers(0, len(broken), 5)] = rng.integers(0, 256, 5)
            (tmp_path / "broken").write_bytes(broken.tobytes())
            with contextlib.suppress(Unreadable):
                assert open_image(tmp_path / "broken").mode == "RGB"


# histograms


def naive(image: Image.Image) -> NDArray[np.float64]:
    """The same vector, pixel by pixel."""
    n = images.SIDE
    small = image.resize((n, n), Image.Resampling.BILINEAR)
    hsv, grey = small.convert("HSV"), small.convert("L")
    colours = np.zeros((5, 72))
    gradients = np.zeros((16, 8))
    for y in range(n):
        for x in range(n):
            hue, saturation, value = hsv.getpixel((x, y))
            colour = (int(hue / 32) * 3 + int(saturation / 256 * 3)) * 3 + int(value / 256 * 3)
            colours[0, colour] += 1
            colours[1 + 2 * (y >= n / 2) + (x >= n / 2), colour] += 1
            dx = grey.getpixel((min(x + 1, n - 1), y)) - grey.getpixel((max(x - 1, 0), y))
            dy = grey.getpixel((x, min(y + 1, n - 1))) - grey.getpixel((x, max(y - 1, 0)))
            angle = math.degrees(math.atan2(dy, dx)) % 180
            nearest = min(range(9), key=lambda k: abs(angle - 22.5 * k)) % 8
            gradients[4 * (y // 32) + x // 32, nearest] += math.hypot(dx, dy)
    blocks = [*colours, *gradients]
    return np.concatenate([np.sqrt(block / block.sum()) if block.sum() else block for block in blocks])


@pytest.mark.parametrize("side", [128, 77])
def test_against_a_loop_over_pixels(side: int) -> None:
    vectors = Histograms()([noise(side), noise(side, seed=1).convert("L").convert("RGB")])
    assert vectors.dtype == np.float32
    assert vectors.shape == (2, Histograms.width)
    np.testing.assert_allclose(vectors[0], naive(noise(side)), atol=1e-6)
    np.testing.assert_allclose(vectors[1], naive(noise(side, seed=1).convert("L").convert("RGB")), atol=1e-6)


def test_each_block_has_unit_length() -> None:
    vector = Histograms()([noise()])[0].astype(float)
    for block in [*vector[:360].reshape(5, 72), *vector[360:].reshape(16, 8)]:
        assert np.square(block).sum() == pytest.approx(1, abs=1e-5)


def test_one_colour() -> None:
    """Pure blue lies in one bin of every colour histogram, and has no gradients."""
    vector = Histograms()([Image.new("RGB", (50, 40), "blue")])[0]
    hue_bin = 240 * 8 // 360
    np.testing.assert_array_equal(np.flatnonzero(vector), [72 * k + (hue_bin * 3 + 2) * 3 + 2 for k in range(5)])
    np.testing.assert_array_equal(vector[vector > 0], 1)


@pytest.mark.parametrize(("angle", "expected"), [(0, 0), (45, 2), (90, 4), (135, 6), (180, 0)])
def test_orientation_of_a_ramp(angle: int, expected: int) -> None:
    y, x = np.mgrid[:128, :128] - 64
    ramp = x * math.cos(math.radians(angle)) + y * math.sin(math.radians(angle))
    image = Image.fromarray(np.uint8(np.rint(ramp) + 128)).convert("RGB")
    inner = Histograms()([image])[0, 360:].reshape(4, 4, 8)[1:3, 1:3]
    assert (inner[..., expected] > 0.99).all()


def test_mirrored_image_mirrors_the_cells() -> None:
    image = noise()
    plain, mirrored = Histograms()([image, image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)])
    np.testing.assert_allclose(mirrored[:72], plain[:72], atol=1e-6)
    np.testing.assert_allclose(mirrored[72:360].reshape(2, 2, 72), plain[72:360].reshape(2, 2, 72)[:, ::-1], atol=1e-6)
    gradients = plain[360:].reshape(4, 4, 8)[:, ::-1]
    turned = gradients[..., (-np.arange(8)) % 8]
    np.testing.assert_allclose(mirrored[360:].reshape(4, 4, 8), turned, atol=1e-6)


def test_gradients_do_not_see_a_change_of_brightness() -> None:
    dark = Image.fromarray(np.asarray(noise().convert("L")) // 3).convert("RGB")
    light = Image.fromarray(np.asarray(dark) + np.uint8(90))
    vectors = Histograms()([dark, light])
    np.testing.assert_allclose(vectors[0, 360:], vectors[1, 360:], atol=1e-6)
    assert np.abs(vectors[0, :360] - vectors[1, :360]).max() > 0.1


def test_larger_copy_is_nearly_the_same_and_another_image_is_not() -> None:
    one, larger, other = Histograms()([noise(128), noise(128).resize((500, 500)), noise(128, seed=1)])
    assert one @ larger > 0.999 * (one @ one)
    assert one @ other < 0.95 * (one @ one)


def test_batches_make_no_difference() -> None:
    given = [noise(64, seed) for seed in range(5)]
    together = Histograms()(given)
    np.testing.assert_array_equal(together, np.concatenate([Histograms()([image]) for image in given]))
    assert Histograms()([]).shape == (0, Histograms.width)
