"""Features that a network or a decomposition made, told from measurements by their numbers alone."""

from __future__ import annotations

import numpy as np

_ROWS = 8  # at least, to tell anything
_COLUMNS = 32  # that an embedding has at least
_ALIKE = 10.0  # times the middle spread: the most that columns of one kind spread
_IN_ORDER = -0.9  # rank correlation of place and spread, at most: scores of components, in their order
_LENGTHS = 0.25  # deviation of rows' lengths, as a share of their mean
_SIGNED = (0.2, 0.8)  # share of negative numbers
_ZEROS = 0.05  # the most of a modality that is dense


def is_embedding(rows: np.ndarray) -> bool:
    """Whether the columns of a modality mean nothing one by one: what matters is a row's direction.

    So it is with what CLIP, a sentence encoder or a convolutional network gives, and with scores of principal or latent
    components. Scaled column by column, their weakest columns count as much as the strongest. The signs, all of which
    must be there: at least 32 columns; numbers that are not whole; columns of one kind, which spread alike (99 % of
    them within 10 times the middle spread) or less and less from the first to the last; and numbers of both signs with
    hardly a zero, or rows of like length.

    Args:
        rows: N x d, float64.
    """
    if len(rows) < _ROWS or rows.shape[1] < _COLUMNS or _are_whole(rows):
        return False
    lengths = np.sqrt(np.square(rows).sum(1))
    return _of_one_kind(rows) and (_is_signed(rows) or bool(lengths.std() <= _LENGTHS * lengths.mean()))


def _are_whole(rows: np.ndarray) -> bool:
    """Whether most numbers but 0 are whole: counts and intensities."""
    there = rows != 0
    return bool((rows == np.round(rows))[there].mean() > 0.5) if there.any() else True


def _of_one_kind(rows: np.ndarray) -> bool:
    """Whether columns spread alike, or in falling order."""
    spreads = rows.std(0)
    varied = spreads[spreads > 0]
    if not len(varied):
        return False
    from scipy.stats import spearmanr

    in_order = spearmanr(np.arange(len(spreads)), spreads).statistic <= _IN_ORDER
    return bool(in_order or np.quantile(varied, 0.99) <= _ALIKE * np.median(varied))


def _is_signed(rows: np.ndarray) -> bool:
    low, high = _SIGNED
    return bool(low <= (rows < 0).mean() <= high and (rows == 0).mean() <= _ZEROS)
