"""``cmc run|choose|describe|prepare|evaluate|predict|report|gallery``, the console script; also ``python -m cmc``."""

from __future__ import annotations

import difflib
import sys
from importlib import import_module

from cmc.cli import command
from cmc.errors import UserError

COMMANDS = ("run", "choose", "describe", "prepare", "evaluate", "predict", "report", "gallery")


def main() -> None:
    """Run the command that the first word names; without one, ``run``."""
    word = sys.argv[1] if len(sys.argv) > 1 else ""
    if word.isidentifier() and word not in COMMANDS:
        command(lambda: _refuse(word))
    name = "run"
    if word in COMMANDS:
        name = word
        del sys.argv[1]
    import_module(f"cmc.{name}").main()


def _refuse(word: str) -> None:
    close = difflib.get_close_matches(word, COMMANDS, n=1)
    hint = f"; did you mean {close[0]}?" if close else ""
    raise UserError(f"{word}: no such command; there are {', '.join(COMMANDS)}{hint}")


if __name__ == "__main__":
    main()
