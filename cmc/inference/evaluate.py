"""Scores of a trained model on a data set."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from omegaconf import DictConfig

from cmc.callbacks.evaluation import Tally
from cmc.data.module import split
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
    kept, held = split(data.n_samples, saved.holdout, saved.seed) if own else (None, None)
    whole = _tally(trained, data, kept)
    unseen = None if held is None else _tally(trained, data, held)
    return {
        "run": str(trained.folder.resolve()),
        "method": trained.report["method"],
        "data": f"{name} (surrogate)" if module.surrogate and "(surrogate)" not in name else name,
        "seed": trained.report["seed"],
        "scores": whole.scores(),
        **({} if unseen is None else {"holdout": unseen.scores()}),
        "label_free": whole.label_free(unseen) if data.missing.keys().isdisjoint(trained.method.inputs) else None,
        "own_data": own,
        "source": data.source,
        "fingerprint": data.fingerprint,
        "n_samples": data.n_samples if kept is None else len(kept),
        "missing": data.missing,
    }


def _tally(trained: Trained, data: Incoming, rows: Any) -> Tally:
    """Count the assignments of the given rows; None for all."""
    tally = Tally(trained.method, data.n_classes, partial(trained.spaced, data.features, rows))
    labels = None if data.labels is None else torch.from_numpy(data.labels if rows is None else data.labels[rows])
    for batch, assignment in trained.assign(data.features, rows):
        with torch.no_grad():
            tally.add(batch, assignment, trained.method.assign_each(batch), labels)
    return tally
