"""Threads of one process of which one computes at a time; each has random numbers of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

from cmc.utils import rng

T = TypeVar("T")
R = TypeVar("R")
_own = threading.local()


class Turns(Generic[T]):
    """Tasks side by side: each goes on until it calls `pass_on`, and then the next one does, in a fixed order.

    The order depends on nothing but where tasks pass on and end: on several processes that do the same, collectives
    meet. PyTorch's, NumPy's and Python's global generators change with the task: each draws what it would alone.

    Args:
        tasks: what is to be done.
    """

    def __init__(self, tasks: Sequence[Callable[[], T]]) -> None:
        self._tasks = tasks
        self._gates = [threading.Semaphore(0) for _ in tasks]
        self._going_on = list(range(len(tasks)))
        self._results: list[T | BaseException] = [NotStarted()] * len(tasks)
        self._stop: BaseException | None = None
        self._posted: dict[int, Any] = {}
        self._given: dict[int, Any] = {}

    def run(self, goes_on: Callable[[BaseException], bool]) -> list[T | BaseException]:
        """Do all of them.

        Args:
            goes_on: whether the others go on after a task ended so; else each ends when it would have its turn, by the
                same exception.

        Returns:
            What each returned, or how it ended.
        """
        threads = [
            threading.Thread(target=self._work, args=(number, goes_on), daemon=True, name=f"run {number}")
            for number in range(len(self._tasks))
        ]
        for thread in threads:
            thread.start()
        self._gates[0].release()
        try:
            _join(threads)
        except BaseException as error:  # a signal, which this thread alone is given
            self._stop = error
            _join(threads)
            raise
        return self._results

    def pass_on(self, number: int) -> None:
        """Let the others have their turns, and wait for the next one of task ``number``."""
        if len(self._going_on) > 1:
            state = rng.get_state()
            self._next(number).release()
            self._gates[number].acquire()
            rng.set_state(state)
        self._end_if_stopped()

    def together(self, number: int, item: Any, work: Callable[[list[Any]], Sequence[Any]]) -> Any:
        """See the function of this name."""
        self._posted[number] = item
        while number not in self._given:
            if self._posted.keys() >= set(self._going_on):
                numbers = sorted(self._posted)
                found = work([self._posted[n] for n in numbers])
                self._given |= dict(zip(numbers, found, strict=True))
                self._posted.clear()
            else:
                self.pass_on(number)
        return self._given.pop(number)

    def _work(self, number: int, goes_on: Callable[[BaseException], bool]) -> None:
        self._gates[number].acquire()
        _own.seat = (self, number)
        try:
            self._end_if_stopped()
            self._results[number] = self._tasks[number]()
        except BaseException as error:
            self._results[number] = error
            if not goes_on(error):
                self._stop = self._stop or error
        finally:
            gate = self._next(number)
            self._going_on.remove(number)
            self._posted.pop(number, None)
            gate.release()

    def _next(self, number: int) -> threading.Semaphore:
        place = self._going_on.index(number)
        return self._gates[self._going_on[(place + 1) % len(self._going_on)]]

    def _end_if_stopped(self) -> None:
        if self._stop is not None:
            raise self._stop


class NotStarted(Exception):
    """A task has not had its first turn."""


def pass_on() -> None:
    """Let other runs of this process go on by one step; where there are none, nothing happens."""
    if (seat := _seat()) is not None:
        seat[0].pass_on(seat[1])


def together(item: T, work: Callable[[list[T]], Sequence[R]]) -> R:
    """Have something done for all runs of this process at once, as soon as each of them asks for it.

    Args:
        item: what this run asks for.
        work: gives for a list of these as many answers; one of the runs does it, with its random numbers.

    Returns:
        The answer for this run.
    """
    if (seat := _seat()) is None:
        (answer,) = work([item])
        return answer
    found: R = seat[0].together(seat[1], item, work)
    return found


def count() -> int:
    """How many runs of this process go on; 1 in a thread of no `Turns`."""
    return 1 if (seat := _seat()) is None else len(seat[0]._going_on)


def number() -> int | None:
    """Which of the tasks this thread does; None for a thread of no `Turns`."""
    seat = _seat()
    return None if seat is None else seat[1]


def _seat() -> tuple[Turns[Any], int] | None:
    return getattr(_own, "seat", None)


def _join(threads: Sequence[threading.Thread]) -> None:
    for thread in threads:
        thread.join()
