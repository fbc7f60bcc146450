"""Manners of code that runs within a user's program: no trace of it outside, and Python's own errors."""

from __future__ import annotations

import logging
import random
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch

from cmc.errors import Interrupted, UserError


@contextmanager
def undisturbed(verbose: bool) -> Iterator[None]:
    """Put back the states of all random number generators, the filters of warnings and the levels of loggers.

    Also where the block raises: Lightning's ``isolate_rng`` has no ``finally``, and would leave the states changed.

    Args:
        verbose: let log lines below errors pass within.
    """
    levels = {name: logging.getLogger(name).level for name in ("cmc", "pytorch_lightning")}
    numpy_state, python_state = np.random.get_state(), random.getstate()  # noqa: NPY002 - the global one
    with warnings.catch_warnings(), torch.random.fork_rng():
        if not verbose:
            logging.getLogger("cmc").setLevel(logging.ERROR)
        try:
            yield
        finally:
            np.random.set_state(numpy_state)  # noqa: NPY002
            random.setstate(python_state)
            for name, level in levels.items():
                logging.getLogger(name).setLevel(level)


@contextmanager
def as_value_errors() -> Iterator[None]:
    """Tell a user's mistake as scikit-learn does, by a ValueError, and Ctrl-C as Python does."""
    try:
        yield
    except UserError as mistake:
        raise ValueError(str(mistake)) from None
    except Interrupted:
        raise KeyboardInterrupt from None
