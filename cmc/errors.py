"""The ways in which a command ends early without a defect of ours."""

from __future__ import annotations


class UserError(Exception):
    """A mistake in a configuration, a file or a command: one line that says what, where, and what to do.

    The commands print it without a traceback and exit with status 2.
    """


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
