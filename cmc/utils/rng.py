"""The states of all random number generators, as checkpoints hold them: tensors, numbers and tuples."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch


def get_state() -> dict[str, Any]:
    """The states of PyTorch's, NumPy's and Python's global generators; ``cuda`` is None without such a device."""
    kind, words, *rest = np.random.get_state()  # noqa: NPY002 - the global one, which a method may use
    return {
        "cpu": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state() if torch.cuda.is_available() else None,
        "numpy": (kind, torch.from_numpy(np.asarray(words, dtype=np.int64)), *rest),
        "python": random.getstate(),
    }


def set_state(states: Mapping[str, Any]) -> None:
    """Go on from what `get_state` gave; of older checkpoints, which lack some, from what they have."""
    torch.set_rng_state(states["cpu"])
    if torch.cuda.is_available() and states["cuda"] is not None:
        torch.cuda.set_rng_state(states["cuda"])
    if "numpy" in states:
        kind, words, *rest = states["numpy"]
        np.random.set_state((kind, words.numpy().astype(np.uint32), *rest))  # noqa: NPY002
        random.setstate(states["python"])
