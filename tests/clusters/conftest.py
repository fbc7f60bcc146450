"""A gallery of made pictures, and its page in a browser."""

import pytest

from tests.browser import chromium, opened  # noqa: F401
from tests.clusters.clicks import CAPTIONS, STRANGE, write
from tests.clusters.made import Made


@pytest.fixture(scope="module")
def made():
    found = Made(n=120, captions=CAPTIONS)
    found.label[5] = STRANGE
    return found


@pytest.fixture(scope="module")
def folder(made, tmp_path_factory):
    place = tmp_path_factory.mktemp("gallery")
    made.write_pictures(place / "raw")
    (place / "raw" / made.ids[0]).unlink()
    (place / "raw" / made.ids[1]).write_bytes(b"no picture")
    (place / "raw" / "SOURCES.md").write_text("Shapes, drawn by <b>hand</b>")
    made.write(place / "run", place / "raw")
    write(made, place)
    return place


@pytest.fixture
def page(chromium, folder):  # noqa: F811
    with opened(chromium, folder / "run" / "gallery.html") as page:
        yield page
