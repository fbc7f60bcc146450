"""What DMIM's variants share: two terms of the objective, and what their settings may be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations

from torch import Tensor
from torch.nn import functional as F

from cmc import distributed
from cmc.errors import UserError
from cmc.functional.mutual_information import joint_table, mutual_information
from cmc.methods.gaps import Gaps
from cmc.methods.phases import Phase, Schedule
from cmc.nn.bottleneck import Bottleneck, BottleneckNetwork
from cmc.utils import validate


def check_width(width: int | None) -> None:
    """Refuse an encoder without a width."""
    if width is None:
        raise UserError("method.width: null given; the encoder needs a width")
    validate.whole("method.width", width, least=1)


def check_warmup(share: float) -> None:
    """Refuse what is no share of a run."""
    validate.number("method.beta_warmup", share, least=0)
    if share > 1:
        raise UserError(f"method.beta_warmup: {share} given; it is a share of the run, from 0 to 1")


def check_phases(schedule: Schedule, n_clusters: int) -> None:
    """Refuse phases that are not DMIM's, a batch of fewer samples than clusters, and a ``train`` without epochs."""
    for phase in schedule.phases:
        if phase.name not in ("train", "finish"):
            raise UserError(f"method.phases.{phase.name}: DMIM's phases are train and finish")
        if phase.batch_size is not None and phase.batch_size < n_clusters:
            raise UserError(
                f"method.batch_size: {phase.batch_size} given; a batch must hold at least as many samples as there are "
                f"clusters, {n_clusters}"
            )
    if not any(phase.name == "train" and phase.epochs for phase in schedule.phases):
        raise UserError("method.phases.train.epochs: 0 given; give at least 1, for finish goes on with what it gives")


def check_last_batch(phase: Phase, n_samples: int, n_clusters: int, drop_last: bool) -> None:
    """Refuse a last batch of fewer samples than clusters."""
    if phase.batch_size is None or drop_last:
        return
    if 0 < (left := n_samples % phase.batch_size) < n_clusters:
        raise UserError(
            f"method.batch_size: {phase.batch_size} given; of {n_samples} samples that leaves {left} for the last "
            f"batch, fewer than the {n_clusters} clusters: give another size, or method.drop_last=true"
        )


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
