"""The ways in which a command ends early without a defect of ours."""

from __future__ import annotations

import re

_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]+")


class UserError(Exception):
    """A mistake in a configuration, a file or a command: one line that says what, where, and what to do.

    The commands print it without a traceback and exit with status 2.

    Args:
        line: where names or values of a file in it hold line breaks or other control characters, blanks stand for them.
    """

    def __init__(self, line: object) -> None:
        super().__init__(_CONTROL.sub(" ", str(line)))


class Diverged(UserError):
    """Training arrived at a number that is infinite or none; the line says which, and where."""


class Failed(Exception):
    """A process of a run died; its line says which, and how to go on.

    The commands print it without a traceback and exit with status 1.
    """


class Interrupted(Exception):
    """The user stopped a run; its checkpoint is written.

    The commands print how to go on and exit with ``status``.
    """

    status = 130  # what shells say of a command that Ctrl-C ended


class Preempted(Interrupted):
    """The machine is wanted back; the run is to be started again with ``resume=auto``."""

    status = 75  # EX_TEMPFAIL of sysexits.h: try again later
