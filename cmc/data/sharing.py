"""What modalities share, told from the data before anything is trained."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from torch import Tensor

from cmc.functional.canonical import held_out_correlations

log = logging.getLogger(__name__)
LOOKED_AT = 2000  # samples, at most
_LEAST = 40  # of which half are to be fitted to
_CLEARLY = 2  # times what chance gives: of pairs that share nothing fewer than one in 100 come so far
_SHOWN = 4  # correlations of a pair
_PAIRS = 3  # with a line each; more are summed up


class Shared(NamedTuple):
    """What two modalities share.

    Attributes:
        names: of both.
        held_out: canonical correlations of one half of the samples, fitted to the other.
        by_chance: the largest where samples are paired at random.
    """

    names: tuple[str, str]
    held_out: list[float]
    by_chance: float

    @property
    def is_something(self) -> bool:
        """Whether it is clearly more than chance gives."""
        return max(self.held_out) > _CLEARLY * self.by_chance

    def __str__(self) -> str:
        """In one line."""
        first, second = self.names
        shown = " ".join(f"{value:.2f}" for value in self.held_out[:_SHOWN])
        if self.is_something:
            return f"{first} and {second} share: held-out canonical correlations {shown} (chance: {self.by_chance:.2f})"
        return (
            f"{first} and {second} share nothing linear that carries over to other samples: held-out canonical "
            f"correlations {shown} (chance: {self.by_chance:.2f})"
        )


def shared(rows: Mapping[str, Tensor]) -> list[Shared]:
    """Measure every pair of modalities.

    Args:
        rows: modality -> N x d.

    Returns:
        One a pair; nothing where there are fewer than 40 samples, from which nothing can be told.
    """
    names = list(rows)
    if len(rows[names[0]]) < _LEAST:
        return []
    found = held_out_correlations(list(rows.values()))
    return [
        Shared((names[a], names[b]), [round(x, 4) for x in held_out.tolist()], round(by_chance, 4))
        for (a, b), (held_out, by_chance) in found.items()
    ]


def tell(pairs: Sequence[Shared]) -> None:
    """Log what each pair shares, in a line a pair, or in one where there are many; warn of those that share nothing."""
    ranked = sorted((pair for pair in pairs if pair.is_something), key=lambda pair: max(pair.held_out))
    if len(ranked) > _PAIRS:
        log.info(
            "data: of %d pairs of modalities %d share something; the least: %s", len(pairs), len(ranked), ranked[0]
        )
        log.info("data: the most: %s", ranked[-1])
    for pair in pairs:
        if not pair.is_something:
            log.warning("data: %s", pair)
        elif len(ranked) <= _PAIRS:
            log.info("data: %s", pair)
