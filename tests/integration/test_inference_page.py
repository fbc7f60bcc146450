"""The README's example and the commands of docs/inference.md, followed word for word in an empty folder."""

import csv
import json
import re
import subprocess
from pathlib import Path

import pytest

from cmc import evaluate, predict
from tests.quick import interpreter

ROOT = Path(__file__).resolve().parents[2]
README, DOC = ((ROOT / name).read_text() for name in ("README.md", "docs/inference.md"))
(EXAMPLE,) = re.findall(r"```python file=example.py\n(.*?)```", README, re.DOTALL)
COMMANDS = re.findall(r"^python -m cmc\.(predict|evaluate) (.*)$", DOC, re.MULTILINE)
FIT = 'CrossModalClustering("dmim", n_clusters=10)'


def example(folder, text):
    (folder / "example.py").write_text(text)
    done = subprocess.run([interpreter(), "example.py"], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout


def test_the_example_and_its_commands_run(commanded, tmp_path):
    """With two epochs in the place of all."""
    assert EXAMPLE.count(FIT) == 1
    printed = example(tmp_path, EXAMPLE.replace(FIT, f"{FIT[:-1]}, max_phase_epochs=2)"))
    assert re.fullmatch(r"ACC 0\.\d{4}\nACC 0\.\d{4} without the right halves\n", printed)
    assert len(COMMANDS) == 3
    for name, words in COMMANDS:
        status, _, line = commanded({"predict": predict, "evaluate": evaluate}[name], *words.split())
        assert status == 0, line
    both, left = (list(csv.DictReader((tmp_path / name).open())) for name in ("new.csv", "left.csv"))
    assert [len(both), len(left), len(left[0])] == [100, 100, 17]
    scores = json.loads((tmp_path / "digits-model" / "evaluation.json").read_text())["scores"]
    assert f"ACC {scores['acc']:.4f}\n" in printed


@pytest.mark.slow
def test_the_example_prints_what_the_page_says(tmp_path):
    """To the first digit: what is printed depends on the processor's products and threads."""
    first, second = (float(line.split()[1]) for line in example(tmp_path, EXAMPLE).splitlines())
    said = re.search(r"```\nACC (0\.\d{4})\nACC (0\.\d{4}) without the right halves\n```", README)
    assert [first, second] == pytest.approx([float(said[1]), float(said[2])], abs=0.05)
