"""The DataModule that all data sets share: a data set is one ``read()``."""

from __future__ import annotations

import dataclasses
import logging
from copy import copy
from functools import cached_property
from itertools import combinations
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from pytorch_lightning import LightningDataModule
from torch import Tensor

from cmc.data.gaps import INCOMPLETE, settled, take_away
from cmc.data.giveaways import doubts
from cmc.data.loader import Batch, Batches, InOrder, Span
from cmc.data.modalities import Modalities
from cmc.data.presence import check_learnable, told
from cmc.data.scaling import SCALINGS, Scaler
from cmc.data.sharing import LOOKED_AT, Shared, shared
from cmc.data.sources import Mapped, Resident
from cmc.data.splitting import split_of
from cmc.distributed import check_same
from cmc.errors import UserError
from cmc.utils import validate
from cmc.utils.arrays import spaced
from cmc.utils.memory import free_memory

log = logging.getLogger(__name__)
PASS = 4096  # samples of a batch where all of them are passed over


@runtime_checkable
class Learner(Protocol):
    """The module in training, which knows what batches it wants."""

    def train_batches(self, data: DataModule) -> Batches:
        """Batches of the present epoch, by `DataModule.batches`."""


class DataModule(LightningDataModule):
    """Features read once, checked, split, scaled and laid where they are used.

    A data set implements ``read``. Labels never enter a training batch: they are joined by index when assignments
    are scored.

    Args:
        scaling: ``auto``, ``none``, ``l2``, ``standard`` or ``minmax``; see `cmc.data.scaling.Scaler`.
        holdout: the share of samples, drawn by ``seed``, kept out of training and scored besides.
        n_clusters: K; None for the number of classes in the labels.
        in_memory: hold the scaled features on the training device (true), read them from disk batch by batch
            (false), or decide by size: in memory when they fit into half of what is free (None).
        seed: of the shuffling and of the holdout.
        incomplete: samples that lack modalities: ``use`` them, each by what it has, ``drop`` them, or ``refuse`` them.
        missing: the share of samples from which modalities are taken away; see `cmc.data.gaps.take_away`.
        missing_seed: of the draw of what is taken away.

    Attributes:
        fitted: positions of the training samples that are not set aside; None for all.
        surrogate: whether the data are generated and stand in for others.

    Raises:
        UserError: a value outside its range, as in the constructors of all data sets.
    """

    def __init__(
        self,
        scaling: str = "auto",
        holdout: float = 0.0,
        n_clusters: int | None = None,
        in_memory: bool | None = None,
        seed: int = 0,
        incomplete: str = "use",
        missing: float = 0.0,
        missing_seed: int = 0,
    ) -> None:
        super().__init__()
        self.scaling = validate.one_of("data.scaling", scaling, SCALINGS)
        self.holdout = validate.share("data.holdout", holdout)
        self._n_clusters = validate.whole("data.n_clusters", n_clusters, least=2, or_null=True)
        is_choice = in_memory is None or isinstance(in_memory, bool)
        self.in_memory = validate.require("data.in_memory", in_memory, is_choice, "true, false or null")
        self.seed = validate.seed("data.seed", seed)
        self.incomplete = validate.one_of("data.incomplete", incomplete, INCOMPLETE)
        self.missing = validate.share("data.missing", missing)
        self.missing_seed = validate.seed("data.missing_seed", missing_seed)
        self.surrogate = False
        self.fitted: Tensor | None = None
        self.scaler = Scaler()
        self._read = False

    def read(self) -> Modalities:
        """Read the data set."""
        raise NotImplementedError

    def given(self) -> Modalities:
        """What `read` gives, less what ``missing`` takes away and ``incomplete`` drops.

        Raises:
            UserError: the data cannot be read, or lack what they may not lack.
        """
        data = self.read()
        if self.missing:
            features = take_away(data.features, self.missing, self.missing_seed)
            drawn = f"data.missing_seed={self.missing_seed}"
            remark = f"modalities are taken away from {self.missing:g} of the samples ({drawn})"
            data = dataclasses.replace(data, features=features, remarks=(*data.remarks, remark))
        return settled(data, self.incomplete)

    @property
    def prepared(self) -> Path | None:
        """The feature folder that `read` reads; None where it reads anything else."""
        return None

    def load(self, given: Modalities | None = None) -> None:
        """Read, check, split and scale; a second call does nothing.

        Args:
            given: what the method of this name gave already.

        Raises:
            UserError: what is wrong with the data, or with K for these data.
        """
        if self._read:
            return
        data = self.given() if given is None else given
        self.source, self.fingerprint, self.classes = data.source, data.fingerprint(), data.classes
        self.dims, self.n_classes = data.dims, data.n_classes
        self.ids, self.captions, self.remarks = data.ids, data.captions, data.remarks
        self.pictures, self.shapes = data.pictures, dict(data.shapes)
        for remark in data.remarks:
            log.info("data: %s", remark)
        self.n_clusters = _check_n_clusters(self._n_clusters, data)
        train, held = split_of(data.n_samples, data.held_out, self.holdout, self.seed)
        if self.n_clusters > (n_train := data.n_samples if train is None else len(train)):
            raise UserError(
                f"data.n_clusters: {self.n_clusters} clusters for {n_train} training samples; "
                "give at most as many clusters as samples"
            )
        if data.present is not None:
            check_learnable(data.present if train is None else data.present[train], [*data.dims], self.n_clusters)
            log.info("data: %s", told(data.present, data.lacking))
        self.lacking = data.lacking
        self.scaler.fit(data.features, train, self.scaling, data.present)
        kind = Resident if self._fits(data.nbytes) else Mapped
        self.samples: Resident | Mapped = kind(data.features, train, self.scaler, data.present)
        self.held_out = kind(data.features, held, self.scaler, data.present) if held is not None else None
        self.rows, self.held_rows = train, held
        self.labels, self.held_labels = _labels(data, train), _labels(data, held) if held is not None else None
        self._read = True
        self.doubts = doubts(data.features, data.labels, data.present)
        for doubt in self.doubts:
            log.warning("data: %s", doubt)
        log.info(
            "data: %s: %d samples%s %s, %s, K = %d, scaling %s%s",
            self.source,
            data.n_samples,
            f" ({len(held)} held out)" if held is not None else "",
            "in memory" if kind is Resident else "read from disk",
            " + ".join(f"{name} {d}" for name, d in self.dims.items()),
            self.n_clusters,
            ", ".join(f"{name} {scaling}" for name, scaling in self.scaler.kinds.items()),
            labels_text(data),
        )

    def for_seed(self, seed: int) -> DataModule:
        """The same data, in the same memory, for a run of another seed; as they were loaded, nothing drawn by a seed.

        Raises:
            ValueError: samples are held out by the seed.
        """
        if self.holdout:
            raise ValueError("another seed holds out other samples")
        other = copy(self)
        other.seed, other.fitted, other.trainer = seed, None, None
        return other

    def _fits(self, nbytes: int) -> bool:
        if self.in_memory is not None:
            return self.in_memory
        return nbytes <= free_memory() / 2

    @property
    def n_samples(self) -> int:
        """Training samples."""
        return self.samples.n_samples

    @cached_property
    def shared(self) -> list[Shared]:
        """What each two modalities share, as they are scaled, by at most 2000 training samples evenly spaced."""
        present = self.samples.present
        if present is None:
            return shared(dict(zip(self.dims, self.spaced(LOOKED_AT).modalities, strict=True)))
        found: list[Shared] = []
        for (a, first), (b, second) in combinations(enumerate(self.dims), 2):
            both = (present[:, a] & present[:, b]).nonzero().flatten()
            rows = self.samples.take(both[torch.from_numpy(spaced(len(both), LOOKED_AT))])
            found += shared({first: rows[a], second: rows[b]})
        return found

    def setup(self, stage: str) -> None:
        """Load, and lay the features on the training device."""
        self.load()
        device = self.trainer.strategy.root_device if self.trainer is not None else torch.device("cpu")
        check_same(self.fingerprint, device)
        self.samples.to(device)
        if self.held_out is not None:
            self.held_out.to(device)

    def train_dataloader(self) -> Batches:
        """Batches of the present epoch, as the module in training wants them."""
        assert self.trainer is not None
        learner = self.trainer.lightning_module
        assert isinstance(learner, Learner)
        return learner.train_batches(self)

    def set_aside(self, share: float, n_clusters: int) -> Tensor:
        """Keep a share of the training samples, drawn by ``seed``, for a method to judge its networks by.

        Samples of a single modality tell nothing of how modalities agree, and are not kept.

        Args:
            share: of those with two modalities at least.
            n_clusters: K, at least so many samples; fewer judge nothing, and none are kept.

        Returns:
            N, whether a sample is kept; empty where none is.

        Raises:
            UserError: fewer than K samples are left to train on.
        """
        present = self.samples.present
        telling = None if present is None else (present.sum(1) > 1).nonzero().flatten()
        n = self.n_samples if telling is None else len(telling)
        self.fitted, n_aside = None, round(n * share)
        if n_aside < n_clusters:
            said = (share, n, n_aside, n_clusters)
            log.warning("method.validation: %s of %d samples is %d, too few to judge %d clusters: none is kept", *said)
            return torch.empty(0, dtype=torch.bool)
        if n - n_aside < n_clusters:
            raise UserError(
                f"method.validation: {share} given; of {n} samples that leaves {n - n_aside} "
                f"to train on, fewer than the {n_clusters} clusters: give a smaller share"
            )
        order = torch.from_numpy(np.random.default_rng([self.seed, 1]).permutation(n))
        aside = order[:n_aside] if telling is None else telling[order[:n_aside]]
        kept = torch.zeros(self.n_samples, dtype=torch.bool).index_fill_(0, aside, True)
        self.fitted = (~kept).nonzero().flatten()
        return kept

    @property
    def n_fitted(self) -> int:
        """Training samples that are not set aside."""
        return self.n_samples if self.fitted is None else len(self.fitted)

    def batches(
        self, size: int | None, chunked: bool, drop_last: bool, epoch: int, among: Tensor | None = None
    ) -> Batches:
        """Shuffled batches of an epoch of training.

        Args:
            size: samples of a global batch, None for all.
            chunked: whether a batch of all samples is processed in chunks.
            drop_last: leave an incomplete last batch out.
            epoch: of the run, from 0; the order depends on it.
            among: positions of the samples that are trained on (int64); None for all.
        """
        n_samples = self.n_samples if among is None else len(among)
        size = size or n_samples
        if size > n_samples and epoch == 0:
            log.info("method.batch_size: %d is more than the %d samples; taking all of them", size, n_samples)
        settings: dict[str, Any] = {"drop_last": drop_last, "seed": self.seed, "epoch": epoch, "chunked": chunked}
        return Batches(self.samples, size, among=among, **settings)

    def transfer_batch_to_device(self, batch: Batch | Span, device: torch.device, dataloader_idx: int) -> Batch | Span:
        """The batch as it is: its rows lie on the device already, its index is for the CPU."""
        return batch

    def pass_over(self, held_out: bool = False) -> InOrder:
        """Every training sample (or every held-out one) once, in order, in batches of a few thousand.

        Of each batch this process sees its share.
        """
        source = self.held_out if held_out else self.samples
        assert source is not None
        return InOrder(source, PASS)

    def spaced(self, at_most: int) -> Batch:
        """At most so many training samples, evenly spaced, the same ones on every process."""
        return self.pass_over().spaced(at_most)

    def state_dict(self) -> dict[str, Any]:
        """The scaling and the fingerprint, kept in checkpoints."""
        return {"scaler": self.scaler.state_dict(), "fingerprint": self.fingerprint}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Refuse a checkpoint of other data: a run continues on what it began with."""
        if state_dict["fingerprint"] != self.fingerprint:
            raise UserError(
                f"resume: the run was begun on other data (fingerprint {state_dict['fingerprint']}, "
                f"now {self.fingerprint}); put the data back, or start a new run"
            )


def labels_text(data: Modalities) -> str:
    """What the labels leave to score, where it is not all samples."""
    if data.labels is None:
        could = f" (labels? {' or '.join(data.offered)})" if data.offered else ""
        return f"; no labels: there is nothing to score{could}"
    if data.n_labelled < data.n_samples:
        return f"; labels of {data.n_labelled}: the others are clustered, and not scored"
    return ""


def _check_n_clusters(given: int | None, data: Modalities) -> int:
    n_clusters = given if given is not None else data.n_classes
    if n_clusters is None:
        could = f", or what could be the labels: {' or '.join(data.offered)}" if data.offered else ""
        raise UserError(
            f"data.n_clusters: not given, and the data have no labels to count; give data.n_clusters=K{could}"
        )
    if given is None and n_clusters > data.n_labelled / 2:
        raise UserError(
            f"data.n_clusters: the labels take {n_clusters} values for {data.n_labelled} samples; if these are "
            "classes, give data.n_clusters=K, and if they are names of samples, take them out"
        )
    if n_clusters < 2:
        raise UserError(f"data.n_clusters: {n_clusters} class in the labels; there must be at least 2 clusters")
    return n_clusters


def _labels(data: Modalities, rows: np.ndarray | None) -> Tensor | None:
    if data.labels is None:
        return None
    return torch.from_numpy(data.labels if rows is None else data.labels[rows])
