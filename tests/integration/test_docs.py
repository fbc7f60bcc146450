"""The site: every page is in its navigation, and every public name in its API pages."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
API = {path: set(re.findall(r"^::: (\S+)$", path.read_text(), re.MULTILINE)) for path in (DOCS / "api").glob("*.md")}
STUBS = sorted((ROOT / "cmc").rglob("__init__.pyi"))


def test_every_page_is_in_the_navigation_once():
    config = (ROOT / "mkdocs.yml").read_text()
    listed = re.findall(r"([\w/-]+\.md)$", config, re.MULTILINE)
    assert sorted(listed) == sorted(str(path.relative_to(DOCS)) for path in DOCS.rglob("*.md"))


def test_the_site_asks_for_no_network():
    config = (ROOT / "mkdocs.yml").read_text()
    assert "font: false" in config
    assert "http" not in config
    assert not re.search(r"!\[[^]]*\]\(http|<(?:script|img|link)", "".join(p.read_text() for p in DOCS.rglob("*.md")))


def test_every_module_of_the_api_pages_exists_and_stands_on_one_page():
    listed = [module for modules in API.values() for module in modules]
    assert len(listed) == len(set(listed)) > 30
    for module in listed:
        assert (ROOT / module.replace(".", "/")).with_suffix(".py").is_file(), module


@pytest.mark.parametrize("stub", STUBS, ids=lambda path: ".".join(path.relative_to(ROOT).parent.parts))
def test_every_public_name_is_in_the_api_pages(stub):
    """A package's lazily exported names: the modules that define them."""
    package = ".".join(stub.relative_to(ROOT).parent.parts)
    if package == "cmc.training":  # its one public name is for conf/config.yaml alone
        pytest.skip("nothing of it is for users")
    defining = {f"{package}.{node.module}" for node in ast.parse(stub.read_text()).body}
    assert defining <= set().union(*API.values())
