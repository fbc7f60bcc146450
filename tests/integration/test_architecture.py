"""docs/architecture.md says what is there, and the floors that it tells of hold: a wrong import is found."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "architecture.md").read_text()
PATHS = sorted(set(re.findall(r"(?<![\w/.])(?:cmc|conf|tests)/[\w/.]*", PAGE)))
PACKAGES = sorted(str(path.parent.relative_to(ROOT)) for path in (ROOT / "cmc").glob("**/__init__.py"))[1:]


@pytest.mark.parametrize("path", PATHS)
def test_every_path_that_is_named_exists(path):
    assert (ROOT / path).is_dir() if path.endswith("/") else (ROOT / path).is_file()


@pytest.mark.parametrize("package", PACKAGES)
def test_every_package_is_named_with_what_it_is_for(package):
    assert re.search(rf"^\| `{package}/` \| .+ \|$", PAGE, re.MULTILINE)


def test_every_module_at_the_root_is_named():
    modules = {f"cmc/{path.name}" for path in (ROOT / "cmc").glob("*.py")} - {"cmc/__init__.py"}
    assert modules <= set(PATHS)


def test_every_name_is_defined_where_the_page_says():
    named = re.findall(r"`(\w+)(?:\.(\w+))?`(?: in|, of| of) `(cmc/[\w/]+\.py)`", PAGE)
    assert len(named) >= 10
    for name, member, path in named:
        text = (ROOT / path).read_text()
        assert re.search(rf"^(?:class|def) {name}\b", text, re.MULTILINE), (name, path)
        assert not member or re.search(rf"^    def {member}\(", text, re.MULTILINE), (member, path)


def test_the_page_has_the_contracts_floors():
    (block,) = re.findall(r"^layers = \[\n(.*?)^\]", (ROOT / "pyproject.toml").read_text(), re.MULTILINE | re.DOTALL)
    floors = [floor.strip("()") for floor in re.findall(r'"(.*)"', block)]
    (shown,) = re.findall(r"```text\n(__main__\n.*?)```", PAGE, re.DOTALL)
    assert shown.splitlines() == floors


@pytest.fixture
def linted(tmp_path):
    """Check the contract on a copy of the package, with lines added to the end of some of its files."""
    shutil.copytree(ROOT / "cmc", tmp_path / "cmc", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)

    def lint(**lines):
        for name, line in lines.items():
            with (tmp_path / "cmc" / name.replace("__", "/")).with_suffix(".py").open("a") as file:
                file.write(f"\n{line}\n")
        command = [Path(sys.executable).with_name("lint-imports"), "--no-cache"]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)

    return lint


def test_the_package_keeps_its_floors(linted):
    done = linted()
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("file", "line", "found"),
    [
        ("utils__atomic", "from cmc import cli", "cmc.utils.atomic -> cmc.cli"),
        ("figures__style", "from cmc.loggers.history import HistoryLogger", "cmc.figures.style -> cmc.loggers.history"),
    ],
    ids=["upwards", "beside"],
)
def test_a_wrong_import_is_found(linted, file, line, found):
    done = linted(**{file: line})
    assert done.returncode != 0
    assert found in done.stdout


def test_a_package_that_is_on_no_floor_is_found(linted, tmp_path):
    (tmp_path / "cmc" / "attic").mkdir()
    (tmp_path / "cmc" / "attic" / "__init__.py").touch()
    done = linted()
    assert done.returncode != 0
    assert "attic" in done.stdout
