"""Commands in forked children: a process that has imported everything starts one in a moment, and may kill it."""

import json
import os
import random
import signal
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from cmc.callbacks import Results
from cmc.methods.base import Method
from cmc.runs import checkpoint

STARTING, WRITING, ENDING = "starting", "checkpoint", "results"


class Ended(NamedTuple):
    """Status (of a signal, negative), what was printed on standard error, and the stage that a signal met."""

    status: int
    errors: str
    stage: str | None

    @property
    def last(self):
        return (self.errors.splitlines() or [""])[-1]


class Moment(NamedTuple):
    """After so many of Python's calls and returns, and some seconds more, the process gets a signal."""

    call: int
    delay: float
    number: int = signal.SIGKILL


class Watch:
    """Counts calls and returns of a command, and knows the stage that it is in."""

    def __init__(self, tell, at=None):
        self.count, self.stage, self.writing = 0, STARTING, False
        self.began = {STARTING: 0}  # stage -> count
        self._tell, self._at = tell, at
        self._marks = {Method.on_train_epoch_start.__code__, Results.on_fit_end.__code__, checkpoint.write.__code__}

    def __call__(self, frame, event, argument):
        self.count += 1
        if frame.f_code in self._marks and event in ("call", "return"):
            self._mark(frame, event)
        if self.count == self._at:
            sys.setprofile(None)
            self._tell(f"{self.stage}, {WRITING}" if self.writing else self.stage)

    def _mark(self, frame, event):
        if frame.f_code is checkpoint.write.__code__:
            self.writing = event == "call"
        elif event == "call":
            self.stage = ENDING if frame.f_code is Results.on_fit_end.__code__ else frame.f_locals["self"].phase.name
            self.began.setdefault(self.stage, self.count)


@contextmanager
def forked(module, arguments, log, at=None, count=False, limit=None, last_words=None):
    """Start ``module.main()`` with arguments in a child; give its process id and the end of its pipe to read from.

    Args:
        module: a command.
        arguments: of its command line.
        log: where standard output and error go.
        at: tell the stage over the pipe after so many calls.
        count: tell the stages' counts when the command ends.
        limit: bytes that a file may have.
    """
    ours, theirs = os.pipe()
    sys.stdout.flush()
    process = os.fork()
    if not process:
        status = 70
        try:
            os.close(ours)
            status = _run(module, arguments, log, lambda text: os.write(theirs, text.encode()), at, count, limit)
        finally:
            os._exit(status)
    os.close(theirs)
    try:
        yield process, ours
    finally:
        os.close(ours)


def _run(module, arguments, log, tell, at, count, limit):
    opened = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(opened, 1)
    os.dup2(opened, 2)
    sys.stdout, sys.stderr = os.fdopen(1, "w"), os.fdopen(2, "w")
    os.environ.pop("HYDRA_FULL_ERROR", None)
    sys.argv = [module.__name__, *map(str, arguments)]
    if limit is not None:
        import resource

        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    watch = Watch(tell, at)
    if at is not None or count:
        _begin_with(module, watch)
    try:
        module.main()
        status = 0
    except SystemExit as end:
        status = end.code or 0
    except BaseException:
        import traceback

        traceback.print_exc()
        status = 1
    sys.setprofile(None)
    if count:
        tell(json.dumps({**watch.began, "end": watch.count}))
    sys.stdout.flush()
    sys.stderr.flush()
    return status


def _begin_with(module, watch):
    """Count from where the command checks its configuration: composing that takes most calls, and writes nothing."""
    check = module.check

    def checked(*arguments):
        sys.setprofile(watch)
        check(*arguments)

    module.check = checked


def run(module, arguments, log, moment=None, limit=None):
    """Run a command to its end, or to the moment of a signal; returns how it ended."""
    with forked(module, arguments, log, at=moment and moment.call, limit=limit) as (process, told):
        stage = None
        if moment is not None and (stage := os.read(told, 100).decode() or None):
            time.sleep(moment.delay)
            os.kill(process, moment.number)
        _, status = os.waitpid(process, 0)
    return Ended(os.waitstatus_to_exitcode(status), Path(log).read_text(errors="replace"), stage)


def stages(module, arguments, log):
    """Run a command to its end; returns for each stage the counts at which it begins and ends."""
    with forked(module, arguments, log, count=True) as (process, told):
        read = b""
        while part := os.read(told, 4096):
            read += part
        _, status = os.waitpid(process, 0)
    assert status == 0, Path(log).read_text()
    began = json.loads(read)
    bounds = [*began.values()]
    return {name: (bounds[i], bounds[i + 1]) for i, name in enumerate(began) if name != "end"}


def moment_in(stage, chance: random.Random, number=signal.SIGKILL):
    """A random moment between two counts."""
    return Moment(chance.randrange(*stage) + 1, chance.uniform(0, 0.003), number)
