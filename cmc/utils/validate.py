"""Ranges of settings: the class that takes a setting checks it here, by the dotted key that the user knows it by.

A check returns the value, or raises the one line that says what was given and what it must be. Light: imports no torch.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from numbers import Integral, Real
from typing import Any, TypeGuard, TypeVar

from cmc.errors import UserError

_T = TypeVar("_T")


def require(key: str, value: _T, accepted: bool, what: str) -> _T:
    """The value, where it is accepted.

    Args:
        key: dotted, as in the configuration.
        value: what was given.
        accepted: whether it is what it must be.
        what: it must be.

    Raises:
        UserError: it is not accepted. So do all checks below.
    """
    if not accepted:
        raise UserError(f"{key}: {value!r} given; it must be {what}")
    return value


def whole(key: str, value: _T, least: int, most: int | None = None, or_null: bool = False) -> _T:
    """A whole number within bounds that it may reach; ``or_null`` lets None through."""
    bounds = f"of at least {least}" if most is None else f"from {least} to {most}"
    accepted = (or_null and value is None) or is_whole(value, least, most)
    return require(key, value, accepted, f"a whole number {bounds}{', or null' * or_null}")


def number(key: str, value: _T, least: float | None = None, above: float | None = None, or_null: bool = False) -> _T:
    """A finite number of at least ``least``, or above ``above``; ``or_null`` lets None through."""
    accepted = (or_null and value is None) or (
        is_number(value)
        and math.isfinite(value)
        and (least is None or value >= least)
        and (above is None or value > above)
    )
    bounds = f" of at least {least}" if least is not None else f" above {above}" if above is not None else ""
    return require(key, value, accepted, f"a number{bounds}{', or null' * or_null}")


def share(key: str, value: _T) -> _T:
    """A number of at least 0 and below 1."""
    return require(key, value, is_number(value) and 0 <= value < 1, "a share of at least 0 and below 1")


def shares(key: str, values: Any) -> list[float]:
    """Several shares, in any order."""
    listed = isinstance(values, Sequence) and not isinstance(values, str)
    fit = listed and all(is_number(value) and 0 <= value < 1 for value in values)
    require(key, values, fit, "a list of shares of at least 0 and below 1, such as [0.2, 0.5], or []")
    return list(values)


def seed(key: str, value: _T) -> _T:
    """What NumPy, PyTorch and scikit-learn all take as a seed."""
    return whole(key, value, 0, 2**32 - 1)


def one_of(key: str, value: _T, choices: Iterable[object]) -> _T:
    """One of the choices."""
    allowed = list(choices)
    return require(key, value, value in allowed, f"one of {', '.join(map(str, allowed))}")


def text(key: str, value: _T, what: str = "text", or_null: bool = False) -> _T:
    """Text, which ``what`` may say more of; ``or_null`` lets None through."""
    return require(key, value, isinstance(value, str) or (or_null and value is None), what)


def is_whole(value: object, least: int | None = None, most: int | None = None) -> TypeGuard[int]:
    """Whether it is a whole number, and neither true nor false."""
    if isinstance(value, bool) or not isinstance(value, Integral):
        return False
    return (least is None or int(value) >= least) and (most is None or int(value) <= most)


def is_number(value: object) -> TypeGuard[float]:
    """Whether it is a number, be it infinite or NaN, and neither true nor false."""
    return isinstance(value, Real) and not isinstance(value, bool)


def is_list(value: object) -> TypeGuard[Sequence[object]]:
    """Whether it is a list, a tuple, or a list of a configuration."""
    return isinstance(value, Sequence) and not isinstance(value, str)


def is_names(value: object) -> TypeGuard[Sequence[str | int]]:
    """Whether it is a list of names that holds one at least."""
    return is_list(value) and len(value) > 0 and all(isinstance(name, str | int) for name in value)
