"""Thumbnails in the page and on sheets, of sound pictures and of others."""

import io
from base64 import b64decode

import numpy as np
import pytest
from PIL import Image

from cmc.clusters.pictures import embedded, sheets

COLOURS = [(200, 30, 30), (30, 160, 60), (40, 70, 200), (230, 180, 20)]


@pytest.fixture
def paths(tmp_path):
    """Plain pictures of four colours, one after the other."""
    made = []
    for i in range(300):
        made.append(tmp_path / f"{i}.png")
        Image.new("RGB", (40, 20), COLOURS[i % 4]).save(made[-1])
    return made


def test_a_thumbnail_is_the_picture_made_small(paths):
    told = []
    found = embedded(paths[:5], told.append)
    assert (found.side, len(told), found.lost) == (128, 5, {})
    for i, text in enumerate(found.texts):
        image = Image.open(io.BytesIO(b64decode(text)))
        assert (image.format, image.size) == ("WEBP", (40, 20))
        assert np.abs(np.asarray(image)[10, 20].astype(int) - COLOURS[i % 4]).max() < 12


def test_pictures_that_are_gone_broken_or_huge_are_told_by_their_reason(paths, tmp_path, monkeypatch):
    paths[0].unlink()
    paths[1].write_bytes(b"<html>no picture</html>")
    paths[2].write_bytes(paths[2].read_bytes()[:60])
    monkeypatch.setattr("cmc.data.preparation.images.MOST_PIXELS", 900)
    Image.new("RGB", (40, 30)).save(paths[3])
    found = embedded([*paths[:5], None], lambda n: None)
    assert {i: why.split(" (")[0] for i, why in found.lost.items()} == {
        0: "no such file", 1: "is a web page", 2: "cut short", 3: "40 x 30 pixels are too many", 5: "no picture"
    }  # fmt: skip
    assert [bool(text) for text in found.texts] == [False, False, False, False, True, False]


def test_sheets_hold_the_pictures_row_by_row(paths, tmp_path):
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "sheet-0009.webp").touch()
    found = sheets(paths, tmp_path / "files", lambda n: None)
    assert found.sheets == ["sheet-0000.webp", "sheet-0001.webp"]
    assert sorted(path.name for path in (tmp_path / "files").iterdir()) == found.sheets
    side = found.side
    for i in (0, 17, 255, 256, 299):
        sheet = np.asarray(Image.open(tmp_path / "files" / found.sheets[i // 256]).convert("RGB")).astype(int)
        line, column = i % 256 // 16, i % 16
        assert sheet.shape[1] == 16 * side
        seen = sheet[line * side + side // 2, column * side + side // 2]
        assert np.abs(seen - COLOURS[i % 4]).max() < 20
