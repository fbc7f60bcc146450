"""Scores along the way: the history's ACC, NMI, ARI and purity."""

from __future__ import annotations

from typing import Any

from pytorch_lightning import Callback, Trainer
from torch import Tensor

from cmc.data.module import DataModule
from cmc.methods.base import Method
from cmc.metrics import ClusteringScores


class Evaluation(Callback):
    """Score all training samples every few epochs, once the assignment head is trained.

    The scores are for looking at: nothing is chosen or stopped by them.

    Args:
        every: epochs between two scores; 0 leaves them to the end of the run.
    """

    def __init__(self, every: int) -> None:
        self.every = every

    def on_train_epoch_end(self, trainer: Trainer, pl_module: Any) -> None:
        """Score, when it is time and there are labels."""
        data: DataModule = trainer.datamodule  # type: ignore[attr-defined]
        epoch = trainer.current_epoch + 1
        if self.every and epoch % self.every == 0 and pl_module.is_assigning and data.labels is not None:
            pl_module.note(**scores(pl_module, data, data.labels))


def scores(method: Method, data: DataModule, labels: Tensor) -> dict[str, float]:
    """ACC, NMI, ARI and purity of the present assignments over all training samples."""
    assert data.n_classes is not None
    metrics = ClusteringScores(method.n_clusters, data.n_classes)
    with method.evaluating():
        method.settle(data.pass_over())
        for batch in data.pass_over():
            metrics.update(method.assign(batch).argmax(1).cpu(), labels[batch.index])
    return {name: float(value) for name, value in metrics.compute().items()}
