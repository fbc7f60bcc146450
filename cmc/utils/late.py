"""Modules that others import and hardly ever use, imported when they are used. Light: imports no torch."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from types import ModuleType
from typing import Any


@contextmanager
def late(*names: str) -> Iterator[None]:
    """Within it, who imports a module of these names gets a stand-in for it, and stand-ins for what is in it.

    What stands in is replaced by itself: the module is imported as soon as something of it is called, looked into or
    derived from, then or later. Nothing is an instance of a class that was not imported yet. Afterwards an import of
    the module is an import of the module. Modules that are not there, or imported already, are left alone.

    Args:
        names: dotted.
    """
    for name in names:
        if name not in sys.modules and (spec := _spec(name)) is not None:
            sys.modules[name] = module = _Module(name)
            module.__spec__ = spec
    try:
        yield
    finally:
        for name in names:
            _make_way(name)


def _spec(name: str) -> ModuleSpec | None:
    try:
        return find_spec(name)
    except (ImportError, ValueError):
        return None


def _make_way(name: str) -> None:
    """Let the next import of a name find the module itself."""
    if isinstance(sys.modules.get(name), _Module):
        del sys.modules[name]


class _Module(ModuleType):
    """Stands in for a module."""

    def __getattr__(self, name: str) -> Any:
        if name == "__version__":
            return _Thing(self.__name__, name)._itself()
        if name.startswith("__"):
            raise AttributeError(name)
        return _Thing(self.__name__, name)


class _Thing:
    """Stands in for a class or a function of a module."""

    def __init__(self, module: str, name: str) -> None:
        self._module, self._name = module, name

    def _itself(self) -> Any:
        _make_way(self._module)
        return getattr(importlib.import_module(self._module), self._name)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # of which typing and inspect ask all sorts of things
            raise AttributeError(name)
        return getattr(self._itself(), name)

    def __call__(self, *given: Any, **named: Any) -> Any:
        return self._itself()(*given, **named)

    def __instancecheck__(self, thing: object) -> bool:
        module = sys.modules.get(self._module)
        return module is not None and not isinstance(module, _Module) and isinstance(thing, getattr(module, self._name))

    def __mro_entries__(self, bases: tuple[object, ...]) -> tuple[Any, ...]:
        return (self._itself(),)
