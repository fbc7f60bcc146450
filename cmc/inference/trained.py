"""A finished run, taken up again: its method in evaluation mode, with the scaling of the data it was trained on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
from hydra.errors import InstantiationException
from hydra.utils import instantiate
from numpy.typing import NDArray
from omegaconf import DictConfig, OmegaConf
from torch import Tensor

from cmc.config.trust import check_classes
from cmc.data.formats.reduction import Components
from cmc.data.loader import Batch, InOrder
from cmc.data.module import PASS
from cmc.data.scaling import Scaler
from cmc.data.sources import Mapped, without_gaps
from cmc.errors import UserError
from cmc.functional.decisions import decide
from cmc.methods.base import Method
from cmc.methods.gaps import assign_present, has_inputs
from cmc.runs.checkpoint import StoredCheckpoint, find
from cmc.runs.config import read_config
from cmc.runs.folder import LAST, PREVIOUS, finished, has_checkpoint
from cmc.runs.report import read_report
from cmc.utils.arrays import spaced
from cmc.utils.device import pick


class Saved(NamedTuple):
    """A trained model as plain values and tensors: what a run folder holds of it, or a pickle.

    Attributes:
        folder: the run's.
        config: every setting of the run.
        report: what ``metrics.json`` holds.
        found: a checkpoint, and where it lies; only the method's state and the scaling are read.
    """

    folder: Path
    config: DictConfig
    report: dict[str, Any]
    found: StoredCheckpoint


class Assigned(NamedTuple):
    """A batch of new samples, assigned.

    Attributes:
        batch: the samples.
        assignment: B x K probabilities.
        each: M x B x K, those of each modality; None where a method has none.
    """

    batch: Batch
    assignment: Tensor
    each: Tensor | None


@dataclass(frozen=True, eq=False)
class Trained:
    """What a run folder holds of a trained model.

    Attributes:
        folder: the run's.
        config: every setting of the run.
        report: what ``metrics.json`` holds.
        dims: modality -> width, in the order in which the method takes them.
        scaler: as fitted on the training samples.
        method: in evaluation mode.
        components: modality -> what sparse matrices are reduced by; see `cmc.data.formats.reduction`.
    """

    folder: Path
    config: DictConfig
    report: dict[str, Any]
    dims: dict[str, int]
    scaler: Scaler
    method: Method
    components: Components

    @property
    def temperature(self) -> float | None:
        """Of calibrated confidences; None where the method has none, or the run is of a version without them."""
        found: float | None = self.report.get("calibration", {}).get("temperature")
        return found

    def saved(self) -> Saved:
        """What `revive` makes the same model of: its state and the scaling, nothing that only training needs."""
        state = {name: tensor.cpu() for name, tensor in self.method.state_dict().items()}
        data: dict[str, Any] = {"scaler": self.scaler.state_dict()}
        if self.components:
            data["components"] = {name: torch.from_numpy(array) for name, array in self.components.items()}
        checkpoint = {"state_dict": state, "data": data}
        return Saved(self.folder, self.config, self.report, StoredCheckpoint(self.folder / LAST, checkpoint))

    def batches(self, features: Mapping[str, NDArray[Any]], rows: NDArray[Any] | None = None) -> Iterator[Batch]:
        """Every sample once, in order, a few thousand at a time, read from where it lies, scaled as in training.

        Args:
            features: modality -> N x d, all of `dims` in its order; a row of NaN where a sample lacks a modality.
            rows: the rows to take, in this order; None for all.
        """
        source = Mapped(features, rows, self.scaler).to(self.method.device)
        for batch in InOrder(source, PASS):
            yield _filled(batch)

    def assign(self, features: Mapping[str, NDArray[Any]], rows: NDArray[Any] | None = None) -> Iterator[Assigned]:
        """Batches and their assignments; arguments as for `batches`.

        Raises:
            UserError: a sample so far from those of the training that its assignment is no number.
        """
        for batch in self.batches(features, rows):
            with torch.no_grad():
                assignment, each = assign_present(self.method, batch)
            if not (finite := assignment.isfinite().all(1)).all():
                row = int(batch.index[~finite.cpu()][0])
                raise UserError(f"row {row} lies so far from the training data that its assignment is no number")
            yield Assigned(batch, assignment, each)

    def confidence(self, features: Mapping[str, NDArray[Any]]) -> Tensor:
        """How probably another modality says a sample's cluster (`cmc.functional.calibration`), N.

        Raises:
            UserError: the method's modalities have no assignments of their own, or the run is of a version without.
        """
        parts = [
            decide(assignment, each, batch.present, self.temperature).calibrated
            for batch, assignment, each in self.assign(features)
        ]
        known = [part.cpu() for part in parts if part is not None]
        if len(known) < len(parts):
            raise UserError(
                f"{type(self.method).__name__}: has no calibrated confidence; predict_proba gives the raw one"
            )
        return torch.cat(known)

    def spaced(
        self, features: Mapping[str, NDArray[Any]], rows: NDArray[Any] | None = None, at_most: int = 1000
    ) -> Batch:
        """At most so many samples, evenly spaced; arguments as for `batches`."""
        source = Mapped(features, rows, self.scaler).to(self.method.device)
        index = torch.from_numpy(spaced(source.n_samples, at_most))
        return _filled(Batch(source.take(index), index))

    def embed(self, features: Mapping[str, NDArray[Any]]) -> Iterator[Tensor]:
        """Embeddings, B x D a batch; arguments as for `batches`.

        Raises:
            UserError: a sample lacks one of the modalities that the representation is made from, and the method knows
                no way around it.
        """
        for batch in self.batches(features):
            present = batch.present
            if present is None or self.method.takes_gaps:
                pass
            elif not (whole := has_inputs(self.method, present).cpu()).all():
                row, inputs = int(batch.index[~whole][0]), ", ".join(self.method.inputs)
                raise UserError(f"row {row} lacks a modality that the representation is made from ({inputs})")
            with torch.no_grad():
                yield self.method.embed(batch).float()


def _filled(batch: Batch) -> Batch:
    """The batch with what its samples have, where they lack any modality."""
    present = torch.stack([~x[:, 0].isnan() for x in batch.modalities], 1).cpu()
    if present.all():
        return batch
    return batch._replace(modalities=without_gaps(batch.modalities, present), presence=present)


def load(folder: str | Path, trust: Sequence[str] = (), device: str = "auto") -> Trained:
    """Take up a finished run.

    No code from its files is run: the checkpoint is read as plain tensors, and its configuration may name classes of
    CMC and of trusted packages alone.

    Args:
        folder: the run's.
        trust: packages whose classes the configuration may name besides: those of your own methods.
        device: such as ``cpu`` or ``cuda:1``; ``auto`` takes an accelerator where there is one.

    Raises:
        UserError: the folder holds no finished run; a file of it is damaged, foreign, or of another version; the
            checkpoint does not belong to the configuration; a class that is not trusted.
    """
    run = finished(folder)
    return revive(Saved(run, read_config(run), read_report(run), _checkpoint(run)), trust, device)


def revive(saved: Saved, trust: Sequence[str] = (), device: str = "auto") -> Trained:
    """The model of what was saved of it; see `load` for the other arguments and what is refused."""
    run, config, report, found = saved
    path, checkpoint = found
    dims: dict[str, int] = report["features"]["dims"]
    scaler = _scaler(path, checkpoint, dims)
    method = _method(run, config, dims, report["n_clusters"], trust)
    _check_trained(run, found, report.get("epochs", method.schedule.n_epochs))
    try:
        method.load_state_dict(checkpoint["state_dict"])
    except Exception as error:
        raise UserError(f"{path}: does not belong to config.yaml beside it: {_first_detail(error)}") from None
    components = _components(path, checkpoint, dims)
    return Trained(run, config, report, dims, scaler, method.eval().requires_grad_(False).to(pick(device)), components)


def _checkpoint(run: Path) -> StoredCheckpoint:
    if not has_checkpoint(run):
        raise UserError(f"run: {run} has no {LAST}: there is no trained model; train again with callbacks.checkpoints")
    return find(run)


def _check_trained(run: Path, found: StoredCheckpoint, all_epochs: int) -> None:
    """Refuse the checkpoint before the last, where it is of an earlier epoch and no double of it."""
    if found.path == run / PREVIOUS and (epochs := _epochs(found)) < all_epochs:
        raise UserError(
            f"{run / LAST}: cannot be read, and {PREVIOUS.name} is of epoch {epochs} of {all_epochs}; "
            f"train on from there: python -m cmc.run resume={run}"
        )


def _epochs(found: StoredCheckpoint) -> int:
    """Epochs that had come to their end when a checkpoint was written."""
    try:
        return int(found.content["loops"]["fit_loop"]["epoch_progress"]["current"]["processed"])
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"{found.path}: does not say of which epoch it is; it is no checkpoint of CMC") from error


def _scaler(path: Path, checkpoint: Mapping[str, Any], dims: Mapping[str, int]) -> Scaler:
    """The scaling that `cmc.data.module.DataModule` left in the checkpoint, under the name of its class."""
    states = [value["scaler"] for value in checkpoint.values() if isinstance(value, dict) and "scaler" in value]
    if not states:
        raise UserError(f"{path}: holds no scaling of the training data; it is no checkpoint of CMC")
    scaler = Scaler()
    try:
        scaler.load_state_dict(states[0])
        widths = scaler.widths
    except (KeyError, TypeError, ValueError, AttributeError, IndexError):
        raise UserError(f"{path}: its scaling is damaged, or of another version; train again") from None
    if list(scaler.kinds) != list(dims) or any(dims[name] != width for name, width in widths.items()):
        scaled = ", ".join(f"{name} {widths.get(name, '')}".strip() for name in scaler.kinds)
        known = ", ".join(f"{name} {width}" for name, width in dims.items())
        raise UserError(f"{path}: was trained on {scaled}, but metrics.json beside it says {known}")
    return scaler


def _components(path: Path, checkpoint: Mapping[str, Any], dims: Mapping[str, int]) -> Components:
    """What `cmc.data.datasets.files.Files` reduced sparse modalities by, where it did."""
    states = [value["components"] for value in checkpoint.values() if isinstance(value, dict) and "components" in value]
    found = states[0] if states else {}
    fits = isinstance(found, dict) and all(
        isinstance(tensor, torch.Tensor) and tensor.ndim == 2 and dims.get(name) == len(tensor)
        for name, tensor in found.items()
    )
    if not fits:
        raise UserError(f"{path}: what it reduces sparse modalities by is damaged, or of another version; train again")
    return {name: tensor.float().numpy() for name, tensor in found.items()}


def _method(run: Path, config: DictConfig, dims: Mapping[str, int], n_clusters: int, trust: Sequence[str]) -> Method:
    """The method as configured, without what only training needs."""
    settings = OmegaConf.to_container(config.method, resolve=True)
    assert isinstance(settings, dict)
    settings = {key: None if key in ("optimizer", "scheduler") else value for key, value in settings.items()}
    check_classes(str(run / "config.yaml"), settings, Method, trust)
    try:
        method = instantiate(settings, dims=dict(dims), n_clusters=n_clusters)
    except InstantiationException as error:
        raise UserError(
            f"{run / 'config.yaml'}: its method cannot be made: {_line(error.__cause__ or error)}"
        ) from None
    assert isinstance(method, Method)
    return method


def _first_detail(error: Exception) -> str:
    """Of all that PyTorch says of a state that does not fit, the first thing."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[1] if len(lines) > 1 else _line(error))[:200]


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())[:200]
