"""Which samples are trained on, and which are kept out."""

from __future__ import annotations

import numpy as np

from cmc.errors import UserError


def split(n: int, holdout: float, seed: int) -> tuple[np.ndarray | None, np.ndarray | None]:
    """Rows to train on and rows kept out, both ascending; (None, None) when nothing is kept out."""
    kept_out = round(n * holdout)
    if holdout and not kept_out:
        raise UserError(f"data.holdout: {holdout} of {n} samples is none; give a larger share, or 0")
    if not kept_out:
        return None, None
    order = np.random.default_rng(seed).permutation(n)
    return np.sort(order[kept_out:]), np.sort(order[:kept_out])


def split_of(
    n: int, held_out: np.ndarray | None, holdout: float, seed: int
) -> tuple[np.ndarray | None, np.ndarray | None]:
    """Rows to train on and rows kept out: as the data set them apart, else as `split`.

    Raises:
        UserError: both are asked for.
    """
    if held_out is None:
        return split(n, holdout, seed)
    if holdout:
        raise UserError(
            f"data.holdout: {holdout} given, but the data have a test part, which is held out already; leave it out, "
            "or data.split=all"
        )
    apart = np.zeros(n, dtype=bool)
    apart[held_out] = True
    return np.flatnonzero(~apart), np.flatnonzero(apart)
