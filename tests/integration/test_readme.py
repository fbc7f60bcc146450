"""The README's commands are the ones that continuous integration runs, and its pages and settings exist."""

import os
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()
COMMANDS = [
    line.split("#")[0].strip()
    for block in re.findall(r"```sh\n(.*?)```", README, re.DOTALL)
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
    assert targets([ci]) == targets([workflow])


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
    assert targets(COMMANDS) <= defined
    assert set(re.findall(r"entry: make ([a-z]+)", (ROOT / ".pre-commit-config.yaml").read_text())) <= defined


@pytest.mark.parametrize("command", [c for c in COMMANDS if c.startswith("python -m cmc.run")])
def test_every_run_command_composes(command, composed):
    words = [word.strip("'") for word in command.split()[3:] if "=" in word]
    first = [re.sub(r",.*", "", word) for word in words if not word.startswith(("resume", "hydra"))]
    composed(*[word for word in first if "range(" not in word])


def test_every_linked_page_exists():
    for target in re.findall(r"\]\(([^)#]+)", README):
        assert target.startswith("https://") or (ROOT / target).exists(), target


def test_every_direct_dependency_is_pinned_and_says_why():
    pyproject = (ROOT / "pyproject.toml").read_text()
    pinned = {line.split("==")[0].lower() for line in (ROOT / "constraints.txt").read_text().splitlines()}
    listed = re.findall(r'^  "([\w-]+)>=[^"]*",(.*)$', pyproject, re.MULTILINE)
    assert len(listed) > 15
    for name, why in listed:
        assert name.lower().replace("-", "_") in {p.replace("-", "_") for p in pinned}, name
        assert re.search(r"# \w+", why), name
