"""What features were made with, kept with the run that is trained on them, so that new raw data are made alike.

A feature folder says in ``meta.json`` how its modalities were made, and holds what was fitted on the way (vocabulary,
weights and singular vectors of TF-IDF) as plain numbers. A run takes both along, in ``extractors/``.
"""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cmc.data.formats import Found
from cmc.data.formats.numpy_files import read_npz
from cmc.data.preparation.distribution import Distribution
from cmc.data.preparation.extraction import Extraction, Modality, modalities
from cmc.data.preparation.feature_store import fitted_file, read_meta, told
from cmc.data.preparation.selection import Selection
from cmc.data.preparation.text import TfIdf
from cmc.errors import UserError
from cmc.utils.atomic import atomic_write
from cmc.utils.safe_read import parse_json, read_errors

FOLDER, FILE = "extractors", "extractors.json"  # in a run folder
Made = Mapping[str, Mapping[str, str]]  # modality -> "extractor", its name, and its "fingerprint"
_KEPT = ("name", "classes", "extraction", "modalities")  # of meta.json


@dataclass(frozen=True)
class Extractors:
    """How the features of a run were made of raw data.

    Attributes:
        folder: where fitted arrays lie.
        key: of the data set that opened the raw data: ``folder``, ``nuswide``.
        classes: which texts may have been stripped of; empty without labels.
        extraction: the settings.
        made: the modalities.
    """

    folder: Path
    key: str
    classes: tuple[str, ...]
    extraction: Extraction
    made: Made

    def modalities(self, source: Distribution, selection: Selection, device: str) -> dict[str, Modality]:
        """Modalities of new raw data, made as those of the run.

        Args:
            source: the raw data.
            selection: which of their samples are taken.
            device: of models.

        Raises:
            UserError: they cannot be made alike.
        """
        kept = fitted_file(self.folder, "text")
        fitted = read_fitted(kept, self.extraction.text_width) if kept.exists() else None
        made = modalities(source, selection, dataclasses.replace(self.extraction, device=device), fitted)
        about = {name: {"extractor": m.name, "fingerprint": m.fingerprint} for name, m in made.items()}
        check_made(self.made, about, source.form, "give raw data and an extractor as the run had them")
        return made


def read_fitted(path: Path, width: int) -> TfIdf:
    """TF-IDF as it was fitted.

    Raises:
        UserError: the file is damaged, or holds something else.
    """
    arrays = read_npz(path)
    try:
        return TfIdf.fitted(arrays, width)
    except UserError as error:
        raise UserError(f"{path}: {error}; damaged? train again") from None


def check_made(own: Made, other: Made, where: object, way_on: str) -> None:
    """Refuse features that were made otherwise than those of a run.

    Args:
        own: of the run.
        other: of the features; a modality that the run does not know may be anything.
        where: opens the line.
        way_on: ends it.

    Raises:
        UserError: an extractor is another, or the same one fitted to other data.
    """
    for name in other.keys() & own.keys():
        by, run_by = other[name]["extractor"], own[name]["extractor"]
        if own[name]["fingerprint"] != other[name]["fingerprint"]:
            how = (
                f"by {run_by}, fitted to other data than those of the run"
                if by == run_by
                else f"by {by}, not by {run_by}"
            )
            raise UserError(
                f"{where}: its {name} vectors were made {how}, and cannot be compared with the run's", way_on
            )


def keep(store: Path, run: Path) -> None:
    """Copy into a run folder what the features of a feature folder were made with."""
    meta = read_meta(store)
    for name in meta["modalities"]:
        if (fitted := fitted_file(store, name)).exists():
            with atomic_write(fitted_file(run / FOLDER, name)) as path:
                shutil.copyfile(fitted, path)
    with atomic_write(run / FOLDER / FILE) as path:
        path.write_text(json.dumps({key: meta[key] for key in _KEPT}, indent=2) + "\n", encoding="utf-8")


def of_run(run: Path) -> Extractors | None:
    """What `keep` kept; None where the run's features were not prepared.

    Raises:
        UserError: it is damaged.
    """
    path = run / FOLDER / FILE
    if not path.exists():
        return None
    with read_errors(f"{path}: damaged; train again", path):
        said = parse_json(path)
        extraction, classes = Extraction(**said["extraction"]), tuple(map(str, said["classes"]))
        return Extractors(run / FOLDER, str(said["name"]), classes, extraction, _made(said))


def made_of(store: Path) -> Made:
    """What the modalities of a feature folder were made by."""
    return _made(read_meta(store))


def _made(meta: Mapping[str, Any]) -> Made:
    return {
        str(name): {"extractor": str(about.get("extractor")), "fingerprint": str(about["fingerprint"])}
        for name, about in meta["modalities"].items()
    }


def extract(
    source: Distribution,
    extractors: Extractors,
    device: str,
    advance: Callable[[str, int], None],
    begin: Callable[[str, int], None],
) -> tuple[Found, list[str], dict[str, str]]:
    """Make the features of all usable samples of new raw data, in memory.

    Args:
        source: the raw data.
        extractors: of the run.
        device: of models.
        advance: told the modality and how many rows were done, for a progress bar.
        begin: told each modality and how many rows there are to do.

    Returns:
        The features, with labels where every sample has one; the samples' names; of those left out why.

    Raises:
        UserError: they cannot be made alike, or nothing can be read.
    """
    usable = np.setdiff1d(np.arange(len(source.names)), list(source.unusable))
    made = extractors.modalities(source, Selection(usable, None, extractors.classes, {}), device)
    for name, modality in made.items():
        begin(name, sum(map(modality.work, range(modality.steps))))
    features = {name: _filled(name, modality, len(usable), advance) for name, modality in made.items()}
    skipped = {row: reason for modality in made.values() for row, reason in modality.skipped.items()}
    left_out = {source.names[row]: reason for row, reason in source.unusable.items()}
    left_out |= {source.names[usable[row]]: reason for row, reason in sorted(skipped.items())}
    kept = np.setdiff1d(np.arange(len(usable)), list(skipped))
    if not len(kept):
        raise UserError(f"{source.form}: none of {len(source.names)} samples can be read{told(left_out)}")
    labels, classes = _labels(source, usable[kept])
    found = Found({name: array[kept] for name, array in features.items()}, labels, classes, source.form)
    return found, [source.names[row] for row in usable[kept].tolist()], left_out


def _filled(name: str, modality: Modality, n: int, advance: Callable[[str, int], None]) -> NDArray[Any]:
    array = np.zeros((n, modality.width), modality.dtype)
    for step in range(modality.steps):
        for rows, columns, values in modality.run(step):
            array[rows, columns] = values
        advance(name, modality.work(step))
    return array


def _labels(source: Distribution, rows: NDArray[np.int64]) -> tuple[NDArray[np.int64] | None, tuple[str, ...] | None]:
    """The one concept of each sample, where each carries one."""
    if source.labels is None or not (source.labels[rows].sum(1) == 1).all():
        return None, None
    return source.labels[rows].argmax(1), source.concepts
