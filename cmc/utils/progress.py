"""Progress bars for long work outside training: with the time left on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

log = logging.getLogger(__name__)
_SECONDS = 30

Step = Callable[[str, int], None]


@contextmanager
def bars() -> Iterator[tuple[Step, Step]]:
    """Give two functions of a name and a number: one moves that name's bar on, the other starts it with its total."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield _lines()
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, TextColumn("left"), TimeRemainingColumn(), console=console) as progress:
        tasks = {}

        def begin(name: str, total: int) -> None:
            tasks[name] = progress.add_task(name, total=total)

        def advance(name: str, rows: int) -> None:
            progress.advance(tasks[name], rows)

        yield advance, begin


def _lines() -> tuple[Step, Step]:
    done: dict[str, int] = {}
    totals: dict[str, int] = {}
    told = time.monotonic()

    def begin(name: str, total: int) -> None:
        done[name], totals[name] = 0, total

    def advance(name: str, rows: int) -> None:
        nonlocal told
        done[name] += rows
        if time.monotonic() - told > _SECONDS:
            told = time.monotonic()
            log.info("%s: %d of %d", name, done[name], totals[name])

    return advance, begin
