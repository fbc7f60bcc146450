"""The samples that a command is about: of a data set, the run's own or another, or of new raw pictures and texts."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from omegaconf import DictConfig, OmegaConf

from cmc.config.messages import make
from cmc.config.trust import check_classes
from cmc.data import datasets
from cmc.data.datasets.published import Raw
from cmc.data.module import DataModule
from cmc.data.preparation.extractors import Extractors, Made, check_made, extract, made_of, of_run
from cmc.data.preparation.feature_store import told
from cmc.errors import UserError
from cmc.inference import inputs
from cmc.inference.inputs import Incoming
from cmc.inference.trained import Trained
from cmc.runs.config import read_config
from cmc.utils.safe_read import read_errors

_READERS = ("Folder", "Emoji", "NusWide", "EspGame", "MirFlickr", "IaprTc12")  # of raw data
log = logging.getLogger(__name__)
Told = Callable[[str, int], None]


def _unheard(modality: str, rows: int) -> None:
    """Where there is no progress bar."""


class Extracted(NamedTuple):
    """New raw data, brought to the form that a trained model takes.

    Attributes:
        data: the samples that could be read; their ids are the names of their files.
        left_out: how many could not, and which, in words; empty where all could.
    """

    data: Incoming
    left_out: str


def module_of(trained: Trained, settings: Any, trust: Sequence[str]) -> DataModule:
    """The data set of a configuration.

    Args:
        trained: whose own data may be meant.
        settings: ``data`` of a command; None for the run's own.
        trust: packages whose classes may be named besides those of CMC.

    Raises:
        UserError: a class that is not trusted; a setting that is wrong.
    """
    if settings is None:
        return _module(str(trained.folder / "config.yaml"), trained.config.data, trust)
    return _module("data", settings, trust)


def own_features(run: Path, n_samples: int, trust: Sequence[str]) -> dict[str, NDArray[Any]]:
    """The features that a run was trained on and those held out, unscaled, read anew: modality -> N x d.

    Args:
        run: its folder.
        n_samples: N.
        trust: packages whose classes its configuration may name besides those of CMC.

    Raises:
        UserError: they cannot be read any more, or are others.
    """
    data = _module(str(run / "config.yaml"), read_config(run).data, trust).given()
    if data.n_samples != n_samples:
        raise UserError(f"{data.source}: {data.n_samples} samples, where the run had {n_samples}")
    return data.features


def _module(where: str, settings: Any, trust: Sequence[str]) -> DataModule:
    plain = OmegaConf.to_container(settings, resolve=True)
    check_classes(where, plain, DataModule, trust)
    module: DataModule = make("data", plain)
    return module


def read(trained: Trained, module: DataModule, command: DictConfig) -> Incoming:
    """Read a data set for a trained model; raw data of which no features are made yet as `read_raw` does.

    Args:
        trained: the model.
        module: the data set.
        command: its configuration: ``missing``, modalities to do without; ``trust``; ``device``.

    Raises:
        UserError: it cannot be read, does not fit, or its features were made otherwise than the run's.
    """
    if isinstance(module, Raw) and module.raw and module.prepared is None and of_run(trained.folder) is not None:
        return read_raw(trained, module.raw, command).data
    data = _own_without(trained, module, command.missing) or inputs.read(
        module, trained.dims, command.missing, trained.components
    )
    if module.prepared is not None:
        way_on = f"give the raw files: python -m cmc.predict run={trained.folder} data.raw=FOLDER"
        made = {name: about for name, about in made_of(module.prepared).items() if name not in command.missing}
        check_made(_made(trained), made, module.prepared, way_on)
    return data


def _own_without(trained: Trained, module: DataModule, missing: Sequence[str]) -> Incoming | None:
    """The run's own data, as such, without some modalities; None where these are other data, or nothing is missing."""
    if not missing or not set(missing) < set(trained.dims):
        return None
    try:
        data = inputs.read(module, trained.dims, components=trained.components)
    except UserError:  # in which they may be missing
        return None
    if data.fingerprint != trained.report["features"]["fingerprint"]:
        return None
    nowhere = {name: inputs.nowhere(data.n_samples, trained.dims[name]) for name in missing}
    features = {name: nowhere.get(name, array) for name, array in data.features.items()}
    return replace(data, features=features, missing=dict.fromkeys(missing, data.n_samples))


def _made(trained: Trained) -> Made:
    path = trained.folder / "metrics.json"
    with read_errors(f"{path}: damaged, or written by another version of CMC; train again", path):
        said = trained.report["features"].get("extractors", {})
        return {name: {key: str(about[key]) for key in ("extractor", "fingerprint")} for name, about in said.items()}


def read_raw(
    trained: Trained, folder: Path, command: DictConfig, advance: Told = _unheard, begin: Told = _unheard
) -> Extracted:
    """Make features of new raw data, as those of the run were made.

    Args:
        trained: the model.
        folder: of the raw data, in the form that the run's were in.
        command: as for `read`.
        advance: told the modality and how many rows were done.
        begin: told each modality and how many rows there are to do.

    Raises:
        UserError: the run's features were not prepared; nothing is there; what is wrong with it.
    """
    extractors = of_run(trained.folder)
    if extractors is None:
        raise UserError(
            f"data.raw: {trained.folder} holds no extractors/: its features were not made by cmc.prepare, and nothing "
            "tells how to make others alike; give features, data.root=PATH"
        )
    source = _reader(trained, extractors, command.trust).opened(folder)
    found, names, left_out = extract(source, extractors, command.device, advance, begin)
    if words := told(left_out):
        log.warning("data: %s: %d samples%s", folder, len(names), words)
    arranged = inputs.arrange(found, trained.dims, command.missing)
    return Extracted(replace(arranged, ids=np.array(names, dtype=str)), words)


def _reader(trained: Trained, extractors: Extractors, trust: Sequence[str]) -> Raw:
    """What opens raw data of the kind that the run's were."""
    for name in _READERS:
        kind = getattr(datasets, name)
        if kind.key == extractors.key:
            given = trained.config.data if name == "Folder" else {}
            more = {key: given[key] for key in ("captions", "incomplete") if key in given}
            return kind(root=".", raw=".", **more)  # type: ignore[no-any-return]
    module = module_of(trained, None, trust)
    if not isinstance(module, Raw):
        raise UserError(f"data.raw: no data set reads raw data of the kind {extractors.key!r}; give data.root=PATH")
    return module
