"""What all of DMIM's variants share: two terms of the objective, and the ranges of their settings."""

from __future__ import annotations

from itertools import combinations

from torch import Tensor
from torch.nn import functional as F

from cmc import distributed
from cmc.functional.mutual_information import joint_table, mutual_information
from cmc.methods.base import sum_of
from cmc.nn.bottleneck import Bottleneck
from cmc.utils import validate


def check_ranges(
    overcluster_factor: int, depth: int, power: float, refresh_every: int, beta: float, gamma: float
) -> None:
    """Refuse what none of DMIM's variants can do.

    Raises:
        UserError: a setting out of its range.
    """
    counts = {"overcluster_factor": overcluster_factor, "depth": depth, "power": power, "refresh_every": refresh_every}
    for key, count in counts.items():
        validate.number(f"method.{key}", count, least=1)
    for key, weight in {"beta": beta, "gamma": gamma}.items():
        validate.number(f"method.{key}", weight, least=0)


def shared_information(outputs: list[Bottleneck], share: float, symmetric: bool = False) -> Tensor:
    """Mutual information of the pairs, summed; a ``share`` of the batch is here; ``symmetric``: see `joint_table`."""
    information = [
        mutual_information(distributed.all_reduce_sum(joint_table(a, b, symmetric) * share))
        for logits in ([o.cluster for o in outputs], [o.overcluster for o in outputs])
        for a, b in combinations([x.softmax(1) for x in logits], 2)
    ]
    return sum_of(information)


def uniform_distribution(logits: list[Tensor], targets: Tensor | None) -> Tensor:
    """L3: cross-entropy of modalities' cluster logits against their pseudo labels, M x B; 0 without any."""
    if targets is None:
        return logits[0].new_zeros(())
    return sum_of(F.cross_entropy(x, targets[m]) for m, x in enumerate(logits))
