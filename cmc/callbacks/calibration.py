"""The temperature of a run's confidences, chosen after the last epoch, without labels."""

from __future__ import annotations

from typing import Any

import torch

from cmc import distributed
from cmc.data.module import DataModule
from cmc.functional.agreement import compared_in, concordance
from cmc.functional.calibration import agreeing, compared, temperature_of
from cmc.methods.base import Method

_SAMPLES = 10_000  # that are looked at, evenly spaced
_CELLS = 2**24  # probabilities that are looked at: of many clusters fewer samples


def calibration(method: Method, data: DataModule) -> dict[str, Any] | None:
    """By what temperature modalities are as sure as they agree (`cmc.functional.calibration`); on every process alike.

    Both are measured on held-out samples, where there are at least K. Otherwise sureness is that of training samples,
    and the agreement that of the samples which the method set aside, counted when training had not seen them; without
    such ones it is that of the training samples, where networks can agree by having learned pairs by heart.

    Args:
        method: in its last state.
        data: loaded.

    Returns:
        ``temperature``; ``agreement``, the share that was matched; ``of``, the samples that it is of: ``held-out``,
        ``set aside`` or ``training``. None where modalities have no assignments of their own.
    """
    is_held = data.held_out is not None and data.held_out.n_samples >= method.n_clusters
    at_most = max(1, min(_SAMPLES, _CELLS // (len(method.modalities) * method.n_clusters)))
    batch = data.pass_over(is_held).spaced(at_most)
    with method.evaluating():
        each = method.assign_each(batch)
    if each is None:
        return None
    each, present = each.float().cpu(), None if batch.present is None else batch.present.cpu()
    share, counted = agreeing(each, present), each.shape[1] if present is None else compared(present)
    of = "held-out" if is_held else "training"
    if not is_held and (tables := method.unseen()) is not None:
        share, counted, of = concordance(tables.cpu()), compared_in(tables.cpu()), "set aside"
    if present is not None:
        each = each[present.T].unsqueeze(0)
    found = torch.tensor(temperature_of(each, share, counted), dtype=torch.float32, device=method.device)
    return {"temperature": float(distributed.broadcast(found)), "agreement": share, "of": of}
