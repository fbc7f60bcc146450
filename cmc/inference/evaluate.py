"""Scores of a trained model on a data set."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from omegaconf import DictConfig

from cmc.callbacks.evaluation import Tally
from cmc.data.modalities import UNLABELLED
from cmc.data.splitting import split_of
from cmc.inference import samples
from cmc.inference.inputs import Incoming
from cmc.inference.trained import Trained


def evaluate(trained: Trained, config: DictConfig, name: str) -> dict[str, Any]:
    """Score a trained model on a data set, under the scaling of its training data.

    Args:
        trained: the model.
        config: ``data``, the data set; ``missing``, modalities to do without; ``trust``; ``device``.
        name: of the data.

    Returns:
        ``scores`` and ``label_free`` as in ``metrics.json``, and ``holdout``, where the data are those that the run
        held samples out of; what the data were.

    Raises:
        UserError: the data cannot be read, or do not fit the model.
    """
    module = samples.module_of(trained, config.data, config.trust)
    data = samples.read(trained, module, config)
    own = data.fingerprint == trained.report["features"]["fingerprint"]
    saved = trained.config.data
    kept, held = split_of(data.n_samples, data.held_out, saved.holdout, saved.seed) if own else (None, None)
    whole = _tally(trained, data, kept)
    unseen = None if held is None else _tally(trained, data, held)
    agreed = {} if held is None or unseen is None or len(held) < trained.method.n_clusters else unseen.agreed()
    return {
        "run": str(trained.folder.resolve()),
        "method": trained.report["method"],
        "data": f"{name} (surrogate)" if module.surrogate and "(surrogate)" not in name else name,
        "seed": trained.report["seed"],
        "scores": whole.scores(),
        **_scored(data, kept, held),
        **({} if unseen is None else {"holdout": unseen.scores()}),
        "label_free": whole.label_free(agreed) if _tells(trained, data) else None,
        "own_data": own,
        "source": data.source,
        "fingerprint": data.fingerprint,
        "n_samples": data.n_samples if kept is None else len(kept),
        "missing": data.missing,
    }


def _tells(trained: Trained, data: Incoming) -> bool:
    """Whether all of the method's inputs are there: for all samples or, where it knows what to do, for some."""
    gone = [data.missing.get(name, 0) for name in trained.method.inputs]
    return not any(gone) or (trained.method.takes_gaps and max(gone) < data.n_samples)


def _scored(data: Incoming, kept: Any, held: Any) -> dict[str, Any]:
    """How many samples the scores are of, where some have no label."""
    if data.labels is None or (data.labels != UNLABELLED).all():
        return {}
    parts = {"scores": data.labels if kept is None else data.labels[kept]}
    parts |= {} if held is None else {"holdout": data.labels[held]}
    counts = {part: {"labelled": int((x != UNLABELLED).sum()), "samples": len(x)} for part, x in parts.items()}
    return {"scored": counts}


def _tally(trained: Trained, data: Incoming, rows: Any) -> Tally:
    """Count the assignments of the given rows; None for all."""
    tally = Tally(trained.method, data.n_classes, partial(trained.spaced, data.features, rows))
    labels = None if data.labels is None else torch.from_numpy(data.labels if rows is None else data.labels[rows])
    for batch, assignment, each in trained.assign(data.features, rows):
        tally.add(batch, assignment, each, labels)
    return tally
