"""The ways in which a command ends early without a defect of ours.

Each carries the one line that a command prints, the way on, and the exit status. A process of a run sends it to the
process that started it as `Ending.told`, which raises it again by `ending_of`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import ClassVar

_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]+")


class Ending(Exception):
    """A command ends early: it prints one line without a traceback and exits with ``status``.

    Args:
        line: what happened, and where; where names or values of a file in it hold line breaks or other control
            characters, blanks stand for them.
        way_on: what can be done about it, where the line does not say so itself.
    """

    status: ClassVar[int] = 1
    opening: ClassVar[str] = "error: "

    def __init__(self, line: object, way_on: str = "") -> None:
        self.line, self.way_on = _CONTROL.sub(" ", str(line)), way_on
        super().__init__(self.line)

    def __str__(self) -> str:
        """The line and the way on."""
        return f"{self.line}; {self.way_on}" if self.way_on else self.line

    def told(self) -> dict[str, str]:
        """What `ending_of` makes the same ending from."""
        return {"kind": type(self).__name__, "line": self.line, "way_on": self.way_on}


class UserError(Ending):
    """A mistake in a configuration, a file or a command: one line that says what, where, and what to do."""

    status = 2


class Diverged(UserError):
    """Training arrived at a number that is infinite or none; the line says which, and where."""


class Failed(Ending):
    """A process of a run died; the line says which."""


class Interrupted(Ending):
    """The user stopped a run."""

    status = 130  # what shells say of a command that Ctrl-C ended
    opening = ""


class Preempted(Interrupted):
    """The machine is wanted back; the run is to be started again with ``resume=auto``."""

    status = 75  # EX_TEMPFAIL of sysexits.h: try again later


_KINDS = {kind.__name__: kind for kind in (UserError, Diverged, Failed, Interrupted, Preempted)}


def ending_of(told: Mapping[str, str]) -> Ending:
    """The ending that another process `told`."""
    return _KINDS[told["kind"]](told["line"], told["way_on"])
