"""How far a feature folder is: which steps of which modality were taken, by one process or by several.

``progress.json`` holds what was asked for and what had been taken when the present command began; it stays as it is
until the next one, so that all processes divide the same work. Each process notes its own steps in
``progress-RANK.json``. All files together say what is done.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cmc.utils.atomic import atomic_write
from cmc.utils.safe_read import parse_json, read_errors

FILE = "progress.json"
_OWN = re.compile(r"progress-\d+\.json")

Span = tuple[int, int]  # of steps, without the last


@dataclass
class Taken:
    """What was taken of a modality.

    Attributes:
        spans: of steps.
        skipped: row of the output -> why it could not be made.
    """

    spans: list[Span] = field(default_factory=list)
    skipped: dict[int, str] = field(default_factory=dict)

    def add(self, step: int) -> None:
        """Note a step."""
        if self.spans and self.spans[-1][1] == step:
            self.spans[-1] = (self.spans[-1][0], step + 1)
        else:
            self.spans.append((step, step + 1))

    def left(self, n: int) -> list[int]:
        """Those of ``n`` steps that are not taken, in order."""
        taken = {step for start, stop in self.spans for step in range(start, stop)}
        return [step for step in range(n) if step not in taken]


Done = dict[str, Taken]  # by modality


def own_file(rank: int) -> str:
    """The name of the file of a process."""
    return f"progress-{rank}.json"


def is_progress(name: str) -> bool:
    """Whether a file is one of these, or an unfinished one."""
    return name.startswith(FILE)


def save(path: Path, request: str, done: Mapping[str, Taken]) -> None:
    """Write one of the files."""
    said = {name: {"steps": taken.spans, "skipped": taken.skipped} for name, taken in done.items()}
    with atomic_write(path) as unfinished:
        unfinished.write_text(json.dumps({"request": request, "done": said}))


def read(path: Path) -> tuple[str, Done]:
    """What one of the files holds: the request, and what was taken.

    Raises:
        UserError: it is damaged.
    """
    with read_errors(f"{path}: damaged; delete the folder and prepare anew", path):
        state = parse_json(path)
        return str(state["request"]), {str(name): _checked(each) for name, each in state["done"].items()}


def _checked(state: Mapping[str, Any]) -> Taken:
    spans = [(int(start), int(stop)) for start, stop in state["steps"]]
    return Taken(spans, {int(row): str(reason) for row, reason in state["skipped"].items()})


def read_all(folder: Path) -> tuple[str, Done]:
    """The request, and what was taken by all processes together.

    Raises:
        UserError: a file is damaged.
    """
    request, done = read(folder / FILE)
    for path in _own_files(folder):
        for name, taken in read(path)[1].items():
            into = done.setdefault(name, Taken())
            into.spans += taken.spans
            into.skipped |= taken.skipped
    for taken in done.values():
        taken.spans = _joined(taken.spans)
    return request, done


def remove_own(folder: Path) -> None:
    """Remove the files of the processes, finished or not."""
    for path in folder.glob("progress-*.json"):
        path.unlink(missing_ok=True)


def remove_all(folder: Path) -> None:
    """Remove all files; the one that tells a begun folder last."""
    remove_own(folder)
    (folder / FILE).unlink(missing_ok=True)


def _own_files(folder: Path) -> list[Path]:
    return [path for path in sorted(folder.glob("progress-*.json")) if _OWN.fullmatch(path.name)]


def _joined(spans: Iterable[Span]) -> list[Span]:
    """The same steps in order, each once."""
    joined: list[Span] = []
    for start, stop in sorted(spans):
        if joined and start <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(joined[-1][1], stop))
        else:
            joined.append((start, stop))
    return joined
