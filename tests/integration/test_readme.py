"""The README's commands are the ones that continuous integration runs; what it and the other pages name exists."""

import os
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
README, START = ((ROOT / name).read_text() for name in ("README.md", "docs/getting-started.md"))
PAGES = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "experiments").glob("*.md")]
COMMANDS = [
    line.split("#")[0].strip()
    for block in re.findall(r"```sh\n(.*?)```", README + START, re.DOTALL)
    for line in block.splitlines()
]


def targets(text):
    return {target for line in text for target in re.findall(r"\bmake ([a-z -]+)", line) for target in target.split()}


def test_ci_runs_the_readmes_make_targets():
    ci = (ROOT / ".ci" / "run").read_text()
    workflow = (ROOT / ".github" / "workflows" / "ci.yml").read_text()
    first = targets(COMMANDS[:2])
    assert first == {"demo", "test"}
    assert first <= targets([ci])
    assert targets([ci]) | {"pythons"} == targets([workflow])
    tried = re.search(r"^PYTHONS \?= (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert tried[1].split() == re.findall(r'"([\d.]+)"', re.search(r"python: \[(.*)\]", workflow)[1])


def test_ci_tells_the_tests_that_it_is_ci(tmp_path, monkeypatch):
    """GitHub's own sets the variable; `.ci/run` is run with a `make` that only prints it."""
    (tmp_path / "make").write_text('#!/bin/sh\necho "$CI $*"\n')
    (tmp_path / "make").chmod(0o755)
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    done = subprocess.run([ROOT / ".ci" / "run"], capture_output=True, text=True, check=True, timeout=30)
    assert re.fullmatch(r"true lint types test\b.*\n", done.stdout)


def test_every_make_target_that_is_named_exists():
    makefile = (ROOT / "Makefile").read_text()
    defined = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    pages = [name for page in PAGES for name in re.findall(r"(?:^|`)make [a-z -]+", page.read_text(), re.MULTILINE)]
    assert {"demo", "docs", "pythons", "test-slow"} <= targets(COMMANDS + pages) <= defined
    assert set(re.findall(r"entry: make ([a-z]+)", (ROOT / ".pre-commit-config.yaml").read_text())) <= defined


@pytest.mark.parametrize("command", [c for c in COMMANDS if c.startswith("python -m cmc.run")])
def test_every_run_command_composes(command, composed):
    words = [word.strip("'") for word in command.split()[3:] if "=" in word]
    first = [
        word if "[" in word else re.sub(r",.*", "", word) for word in words if not word.startswith(("resume", "hydra"))
    ]
    composed(*[word for word in first if "range(" not in word])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_linked_page_exists(page):
    """Those of docs/ link to nothing outside, which the site would not have."""
    for target in re.findall(r"\]\(([^)#]+)", page.read_text()):
        if not target.startswith("https://"):
            path = (page.parent / target).resolve()
            assert path.exists(), target
            assert ROOT / "docs" not in page.parents or ROOT / "docs" in path.parents, target


def test_the_readme_is_short():
    assert len(README.splitlines()) <= 130


def test_pins_are_for_one_python_but_pytorchs():
    """Others have no release of some of them: there pip chooses."""
    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if not line.startswith("#")]
    assert [line for line in lines if not line.endswith(' ; python_version == "3.11"')] == ["torch==2.13.0"]


def test_every_direct_dependency_is_pinned_and_says_why():
    pyproject = (ROOT / "pyproject.toml").read_text()
    pinned = {line.split("==")[0].lower() for line in (ROOT / "constraints.txt").read_text().splitlines()}
    listed = re.findall(r'^  "([\w-]+)>=[^"]*",(.*)$', pyproject, re.MULTILINE)
    assert len(listed) > 15
    for name, why in listed:
        assert name.lower().replace("-", "_") in {p.replace("-", "_") for p in pinned}, name
        assert re.search(r"# \w+", why), name
