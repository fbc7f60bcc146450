"""A run is asked to stop: Ctrl-C by its user; SIGTERM, or SLURM's SIGUSR1, where the machine is wanted back."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, NoReturn

from cmc.errors import Preempted

PREEMPTION = (signal.SIGTERM, signal.SIGUSR1)
_stops: list[str] = []  # what was said of every signal that stopped something at once
_for_threads: list[Requests] = []  # see `asking_threads`


def interrupts() -> tuple[signal.Signals, ...]:
    """SIGINT; none where whoever started this process has it ignored, as a script's shell does for ``command &``."""
    return () if signal.getsignal(signal.SIGINT) is signal.SIG_IGN else (signal.SIGINT,)


class StoppedAtOnce(BaseException):
    """A signal of pre-emption came while nothing could be saved; passes by what handles mere exceptions."""


@contextmanager
def preemptible() -> Iterator[None]:
    """Let the signals of pre-emption end the block with `Preempted`: at once, but for what `Requests` puts off.

    Lightning's own answer to SLURM, which requeues the job, stands back where SIGUSR1 has one already.
    """
    if not _is_main():  # no other thread may
        yield
        return
    before, first = {number: signal.signal(number, _stop_at_once) for number in PREEMPTION}, len(_stops)
    try:
        yield
    except Preempted:
        raise
    except (StoppedAtOnce, Exception):
        if len(_stops) > first:  # a library may stumble over its unfinished work on the way out, and say that instead
            raise Preempted(_stops[first]) from None
        raise
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _stop_at_once(number: int, frame: FrameType | None) -> NoReturn:
    _stops.append(f"stopped at once ({signal.Signals(number).name})")
    raise StoppedAtOnce(_stops[-1])


class Requests:
    """What was asked of a run by signals, put off until it can be done.

    A second Ctrl-C stops at once; where Ctrl-C is ignored it stays ignored (`interrupts`). The signals of pre-emption
    are listened to within `preemptible` alone: elsewhere, as in a user's own program, they are not ours.
    """

    def __init__(self) -> None:
        self._stop = self._preempted = False
        self._before: dict[signal.Signals, Any] = {}

    @property
    def stop(self) -> bool:
        """Whether a signal came."""
        return self._stop or any(requests._stop for requests in _for_threads)

    @property
    def preempted(self) -> bool:
        """Whether it was one of pre-emption."""
        return self._preempted or any(requests._preempted for requests in _for_threads)

    def listen(self) -> None:
        """Take the signals over; within `asking_threads` they are taken over already."""
        self._stop = self._preempted = False
        if not _is_main():
            return
        ours = PREEMPTION if signal.getsignal(signal.SIGUSR1) is _stop_at_once else ()
        self._before = {number: signal.signal(number, self._ask) for number in interrupts()}
        for number in ours:
            signal.signal(number, self._ask)
            self._before[number] = _stop_at_once  # not Lightning's, which has taken SIGTERM in the meantime

    def release(self) -> None:
        """Give the signals back."""
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}

    def _ask(self, number: int, frame: FrameType | None) -> None:
        if not self._stop:
            os.write(2, b"\nstopping: finishing this step and writing a checkpoint (Ctrl-C again: at once)\n")
        self._stop, self._preempted = True, self._preempted or number in PREEMPTION
        if number == signal.SIGINT:
            signal.signal(signal.SIGINT, self._before[signal.SIGINT])


@contextmanager
def asking_threads() -> Iterator[None]:
    """Within it, what a signal asks is asked of the runs in all threads, none of which could be given it."""
    requests = Requests()
    requests.listen()
    _for_threads.append(requests)
    try:
        yield
    finally:
        _for_threads.remove(requests)
        requests.release()


def _is_main() -> bool:
    return threading.current_thread() is threading.main_thread()
