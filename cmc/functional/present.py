"""Means over the modalities that are there."""

from __future__ import annotations

from torch import Tensor


def average(each: Tensor, present: Tensor | None) -> Tensor:
    """The mean over modalities of what is there.

    Args:
        each: M x B x D; finite numbers stand in the place of what is not there.
        present: B x M, whether a sample has a modality, of which each has one; None where all have all.

    Returns:
        B x D.
    """
    if present is None:
        return each.mean(0)
    there = present.T.unsqueeze(2)
    return each.masked_fill(~there, 0).sum(0) / there.sum(0)
