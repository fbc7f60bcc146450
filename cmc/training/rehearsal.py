"""A method's constructor, run before the data are read: what it refuses for reasons of its own is told at once.

A constructor takes the modalities' widths and K, which reading tells. Here it gets a stand-in for them, and ends where
it first looks at it. What it checks before that needs no data, and reading may take minutes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NoReturn

from omegaconf import DictConfig

from cmc.config.messages import make
from cmc.errors import UserError


class _NotRead(Exception):
    """A constructor looked at what is not known yet."""


class _Unread(Mapping[str, int]):
    """Stands for the widths, and for K; it cannot be looked at, not even to write it into a message."""

    def _look(self, *args: object) -> NoReturn:
        raise _NotRead

    def __getitem__(self, key: str) -> int:
        self._look()

    def __iter__(self) -> Iterator[str]:
        self._look()

    def __len__(self) -> int:
        self._look()

    __eq__ = __ne__ = __lt__ = __le__ = __gt__ = __ge__ = __int__ = __index__ = _look
    __hash__ = __repr__ = __str__ = __bool__ = _look


def rehearse(method: DictConfig) -> None:
    """Run a method's constructor as far as it comes without data.

    Args:
        method: ``_target_`` and settings.

    Raises:
        UserError: the constructor refuses a setting, or there is no such class.
    """
    constructor: Any = make("method", method, _partial_=True)
    try:
        constructor(dims=_Unread(), n_clusters=_Unread())
    except UserError:
        raise
    except Exception:  # it has come to the data, or has a fault that it will have again once they are read
        return
