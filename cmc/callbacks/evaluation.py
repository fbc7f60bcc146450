"""Scores along the way: the history's ACC, NMI, ARI and purity, and what can be measured without labels."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import isfinite
from types import MappingProxyType
from typing import Any

import torch
from pytorch_lightning import Callback, Trainer
from torch import Tensor

from cmc.data.loader import Batch
from cmc.data.module import DataModule
from cmc.distributed import all_reduce_sum, world_size
from cmc.functional.agreement import label_free
from cmc.functional.separation import assignment_entropy, silhouette
from cmc.methods.base import Method
from cmc.methods.gaps import assign_present
from cmc.metrics import ClusteringScores, LabelFree
from cmc.utils import validate

NOTHING: Mapping[str, float] = MappingProxyType({})
_POINTS = 1000  # samples of which the silhouette is taken


class Evaluation(Callback):
    """Measure all training samples every few epochs, once the assignment head is trained.

    With labels their scores; without labels what `Tally.label_free` gives. They are for looking at: nothing is chosen
    or stopped by them.

    Args:
        every: epochs between two scores; 0 leaves them to the end of the run.
    """

    def __init__(self, every: int) -> None:
        self.every = validate.whole("callbacks.evaluation.every", every, least=0)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: Any) -> None:
        """Measure, when it is time."""
        data: DataModule = trainer.datamodule  # type: ignore[attr-defined]
        epoch = trainer.current_epoch + 1
        if self.every and epoch % self.every == 0 and pl_module.is_assigning:
            pl_module.note(**measures(pl_module, data))


def measures(method: Method, data: DataModule) -> dict[str, float]:
    """Scores and label-free measures of the present assignments over all training samples, and of held-out ones."""
    tally, held = Tally(method, data.n_classes, data.spaced), None
    with method.evaluating():
        method.settle(data.pass_over())
        for batch in data.pass_over():
            tally.add(batch, *assign_present(method, batch), data.labels)
        if data.held_out is not None:
            held = Tally(method, None, data.spaced)
            for batch in data.pass_over(held_out=True):
                held.add(batch, *assign_present(method, batch), None)
    return {**(tally.scores() or {}), **tally.label_free(unseen(method, data, held))}


def unseen(method: Method, data: DataModule, held: Tally | None) -> dict[str, float]:
    """`Tally.agreed` of samples that training has not seen; nothing where there are none.

    They are those held out or, without any, those that the method set aside, as it was when it had not seen them.
    Fewer samples than clusters tell nothing.
    """
    if held is not None and data.held_out is not None and data.held_out.n_samples >= method.n_clusters:
        return held.agreed()
    tables = method.unseen()
    return {} if tables is None else label_free(tables.cpu())


class Tally:
    """Counts assignments batch by batch, against labels where there are any, and between modalities.

    Args:
        method: whose assignments they are.
        n_classes: of the labels; None without them.
        spaced: gives at most so many of the samples, evenly spaced, the same ones on every process.
    """

    def __init__(self, method: Method, n_classes: int | None, spaced: Callable[[int], Batch]) -> None:
        self._method, self._spaced = method, spaced
        self._scores = ClusteringScores(method.n_clusters, n_classes) if n_classes is not None else None
        self._measures: LabelFree | None = LabelFree(len(method.modalities), method.n_clusters)
        self._entropy = torch.zeros(2, dtype=torch.float64)

    def add(self, batch: Batch, assignment: Tensor, each: Tensor | None, labels: Tensor | None) -> None:
        """Count a batch: its assignment and that of each modality (`assign_present`), and all samples' labels.

        Raises:
            Diverged: an assignment is no finite number.
        """
        self._method.require_finite("assignments", assignment)
        if self._scores is not None and labels is not None:
            self._scores.update(assignment.argmax(1).cpu(), labels[batch.index])
        if each is None:
            self._measures = None
        elif self._measures is not None:
            self._measures.update(each.cpu(), None if batch.present is None else batch.present.cpu())
        self._entropy += torch.tensor([assignment_entropy(assignment.cpu()).sum().item(), batch.size])

    def scores(self) -> dict[str, float] | None:
        """``acc``, ``nmi``, ``ari``, ``purity``; None without labels."""
        return None if self._scores is None else {k: float(v) for k, v in self._scores.compute().items()}

    def agreed(self) -> dict[str, float]:
        """``agreement``, ``balance`` and ``quality``.

        Nothing where modalities have no assignments of their own, or no sample has two modalities.
        """
        measured = {} if self._measures is None else self._measures.compute()
        return measured if all(map(isfinite, measured.values())) else {}

    def label_free(self, unseen: Mapping[str, float] = NOTHING) -> dict[str, float]:
        """What needs no labels; every process takes part.

        ``agreement``, ``balance`` and ``quality`` (`cmc.metrics.LabelFree`), where modalities have assignments of their
        own; of samples that training has not seen ``agreement_held_out``, and ``gap``, by how much it is smaller:
        ``quality`` is then that of these samples, for on others a network can agree by learning pairs by heart. The
        mean ``entropy`` of the assignments, as a share of log K; the ``silhouette`` of at most 1000 samples in the
        embedding, where there are two clusters among them.

        Args:
            unseen: `agreed` of samples that training has not seen.
        """
        measured = self.agreed()
        if measured and unseen:
            gap = measured["agreement"] - unseen["agreement"]
            measured |= {"quality": unseen["quality"], "agreement_held_out": unseen["agreement"], "gap": gap}
        sums = self._entropy.to(self._method.device) if world_size() > 1 else self._entropy
        entropy, count = all_reduce_sum(sums).tolist()
        batch = self._spaced(_POINTS)
        with self._method.evaluating():
            embedded = self._method.embed(batch)
            self._method.require_finite("embeddings", embedded)
            apart = silhouette(embedded, assign_present(self._method, batch)[0].argmax(1))
        return {**measured, "entropy": entropy / count, **({} if apart is None else {"silhouette": apart})}
