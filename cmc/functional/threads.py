"""How many threads libraries compute on; one for what must be the same again, bit for bit."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any


@contextmanager
def one_thread() -> Iterator[None]:
    """Within it the libraries of linear algebra compute on one thread: sums are then added in one order."""
    with limited(1):
        yield


@contextmanager
def limited(threads: int) -> Iterator[None]:
    """Within it the libraries of linear algebra, and OpenMP's, compute on so many threads.

    To find these libraries takes as long as a training step or two, so that they are looked for again only where
    modules have been imported meanwhile, which may have brought others.
    """
    with _libraries(len(sys.modules)).limit(limits=threads):
        yield


@lru_cache(maxsize=1)
def _libraries(_: int) -> Any:
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()
