"""A real headless Chromium for the tests of the pages, and what every page must keep to."""

import os
import shutil
from contextlib import contextmanager

import pytest
from playwright.sync_api import sync_playwright


def browser_program():
    """The path of a Chromium; where there is none, tests are skipped, and fail in continuous integration."""
    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if program is None:
        line = "there is no Chromium for the tests of the report's page; on Debian: apt-get install chromium"
        if os.environ.get("CI"):
            pytest.fail(line, pytrace=False)
        pytest.skip(line)
    return program


@pytest.fixture(scope="module")
def chromium():
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=browser_program(), args=["--no-sandbox"])
        yield browser
        browser.close()


@contextmanager
def opened(browser, path, beside=(), **settings):
    """A page, just opened; it must neither complain nor ask for anything but itself and files ``beside`` it."""
    address = path.as_uri()
    page = browser.new_page(**{"viewport": {"width": 1280, "height": 800}, **settings})
    page.set_default_timeout(30_000)
    said, asked = [], []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("dialog", lambda dialog: (said.append(f"dialog {dialog.message}"), dialog.dismiss()))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(address)
    yield page
    page.close()
    assert said == []
    own = {url.partition("#")[0] for url in asked if not url.startswith(("data:", "blob:"))}
    assert own - {each.as_uri() for each in beside} == {address}
