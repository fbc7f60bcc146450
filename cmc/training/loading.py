"""torch, Lightning and what trains with them, imported for a command: sooner than a plain import. Light itself."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from importlib import import_module
from types import ModuleType
from typing import Any

from cmc.utils.cores import bound_spinning
from cmc.utils.late import late

_COMPILER = "torch._dynamo"
_UNUSED = (  # which few runs need, and others import beforehand
    _COMPILER,  # Lightning, to recognise compiled models; torch's optimisers import it when they are made
    "scipy.signal",  # torchmetrics, to mend it for another package
    "transformers",  # torchmetrics, for its scores of texts
)


def load_training() -> ModuleType:
    """`cmc.training.side_by_side`.

    What is imported stays to the end: it is not searched for garbage meanwhile, nor afterwards.
    """
    name = "cmc.training.side_by_side"
    if name not in sys.modules:
        bound_spinning(os.environ)
        collects = gc.isenabled()
        gc.disable()
        try:
            with late(*_UNUSED), _compiler_not_asked():
                import_module(name)
            gc.freeze()
        except Exception:  # a version of theirs that looks deeper into one of them than a stand-in goes: plainly, then
            pass
        finally:
            if collects:
                gc.enable()
    return import_module(name)


@contextmanager
def _compiler_not_asked() -> Iterator[None]:
    """Within it ``@torch.compiler.disable``, which would import the compiler, waits until something else has."""
    import torch

    disable: Callable[..., Any] = torch.compiler.disable

    def waiting(function: Callable[..., Any] | None = None, *settings: Any, **named: Any) -> Callable[..., Any]:
        if function is None or settings or named:
            return disable(function, *settings, **named)  # type: ignore[no-any-return]
        disabled: list[Callable[..., Any]] = []

        @wraps(function)
        def run(*given: Any, **named: Any) -> Any:
            if _COMPILER not in sys.modules:
                return function(*given, **named)
            if not disabled:
                disabled.append(disable(function))
            return disabled[0](*given, **named)

        return run

    torch.compiler.disable = waiting  # type: ignore[assignment]
    try:
        yield
    finally:
        torch.compiler.disable = disable
