"""A method of one layer, small enough to compute by hand, and data for it."""

import numpy as np
import torch
from pytorch_lightning import Trainer
from pytorch_lightning.callbacks import Checkpoint
from torch import nn

from cmc.data.loader import InOrder
from cmc.data.modalities import Modalities
from cmc.data.module import DataModule
from cmc.methods.base import Method


class Given:
    """The rows of one batch, as a source that is passed over."""

    def __init__(self, batch):
        self.batch, self.n_samples, self.present = batch, batch.size, batch.presence

    def take(self, index):
        return tuple(x[index] for x in self.batch.modalities)

    def span(self, start, stop):
        return tuple(x[start:stop] for x in self.batch.modalities)


def passes(batch, size):
    """Pass over the rows of a batch in parts of a size."""
    return InOrder(Given(batch), size)


class ToyData(DataModule):
    """Two modalities of random numbers, labels known."""

    def __init__(self, n=30, labelled=True, **settings):
        super().__init__(**settings)
        self._n, self._labelled = n, labelled

    def read(self):
        rng = np.random.default_rng(0)
        labels = np.arange(self._n) % 3
        features = {name: rng.normal(size=(self._n, d)) + labels[:, None] for name, d in (("a", 4), ("b", 3))}
        return Modalities(features, labels if self._labelled else None, source="toy")


class Toy(Method):
    """Linear assignments drawn towards the first modality's sign; draws noise, keeps a buffer, refreshes it."""

    warmup = frozenset({"first"})
    chunkable = frozenset({"second"})

    def __init__(self, dims, n_clusters, phases, optimizer=None, batch_size="full", drop_last=False, noise=0.0, **more):
        optimizer = optimizer or (lambda parameters: torch.optim.Adam(parameters, lr=0.05))
        super().__init__(dims, n_clusters, phases, optimizer, batch_size, drop_last, **more)
        self.heads = nn.ModuleList(nn.Linear(d, n_clusters) for d in dims.values())
        self.noise = noise
        self.refreshed = []
        self.register_buffer("targets", torch.empty(0, dtype=torch.long))

    def refresh(self, phase, epoch, batches):
        self.refreshed.append((phase, epoch, self.training))
        self.targets = torch.cat([self.assign(batch).argmax(1) for batch in batches])

    def losses(self, batch):
        logits = sum(head(x) for head, x in zip(self.heads, batch.modalities, strict=True))
        if self.noise:
            logits = logits + self.noise * torch.randn_like(logits)
        own = nn.functional.cross_entropy(logits, self.targets[batch.index])
        return {"own": own, "size": 0.1 * logits.square().sum(1).mean()}

    def assign(self, batch):
        logits = [head(x) for head, x in zip(self.heads, batch.modalities, strict=True)]
        return torch.stack(logits).mean(0).softmax(1)


def fit(method, data, folder, callbacks=(), **settings):
    """Train quietly on the CPU, as `cmc.training.fit` would."""
    from cmc.training.trainer import LOOP

    trainer = Trainer(
        accelerator="cpu",
        max_epochs=method.schedule.n_epochs,
        logger=False,
        enable_checkpointing=any(isinstance(callback, Checkpoint) for callback in callbacks),
        callbacks=list(callbacks),
        default_root_dir=str(folder),
        **LOOP,
    )
    data.load()
    method.admit(data)
    trainer.fit(method, datamodule=data, weights_only=True, **settings)
    return trainer
