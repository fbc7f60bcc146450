"""What all of DMIM's variants share: two terms of the objective, and the ranges of their settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations

from torch import Tensor
from torch.nn import functional as F

from cmc import distributed
from cmc.functional.mutual_information import joint_table, mutual_information
from cmc.methods.gaps import Gaps
from cmc.nn.bottleneck import Bottleneck, BottleneckNetwork
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


def outputs_of(
    network: BottleneckNetwork, rows: Mapping[int, Tensor], noise: Sequence[Tensor], gaps: Gaps | None
) -> dict[int, Bottleneck]:
    """Modality -> what the network makes of its rows that are there.

    Fewer than two rows of the whole batch, which batch norm cannot normalise, are left out.
    """
    if gaps is None:
        return {m: network(x, m, noise[m]) for m, x in rows.items()}
    learned = {m: gaps.rows(m) for m in rows if gaps.count(m) > 1}
    return {m: network(rows[m][those], m, noise[m][those]) for m, those in learned.items()}


def shared_information(
    outputs: Mapping[int, Bottleneck], share: float, gaps: Gaps | None, symmetric: bool = False
) -> list[Tensor]:
    """Mutual information of the pairs; a ``share`` of the batch is here; ``symmetric``: see `joint_table`.

    Where there are gaps, that of the samples that have both of two modalities, as `Gaps.weight` weighs it.
    """
    terms = []
    for head in ("cluster", "overcluster"):
        p = {m: getattr(output, head).softmax(1) for m, output in outputs.items()}
        if gaps is None:
            tables = (joint_table(a, b, symmetric) * share for a, b in combinations(p.values(), 2))
            terms += [mutual_information(distributed.all_reduce_sum(table)) for table in tables]
            continue
        for a, b in gaps.pairs():
            if a in p and b in p:
                table = joint_table(*gaps.both(a, b, p), symmetric, gaps.count(a, b))
                terms.append(mutual_information(distributed.all_reduce_sum(table)) * gaps.weight(a, b))
    return terms


def uniform_distribution(logits: Mapping[int, Tensor], targets: Tensor | None, gaps: Gaps | None) -> list[Tensor]:
    """L3: cross-entropy of modalities' cluster logits against their pseudo labels, M x B; nothing without any."""
    if targets is None:
        return []
    if gaps is None:
        return [F.cross_entropy(x, targets[m]) for m, x in logits.items()]
    return [gaps.mean(m, F.cross_entropy, x, targets[m][gaps.rows(m)]) for m, x in logits.items()]
