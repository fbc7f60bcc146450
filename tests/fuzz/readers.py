"""What reads a folder, as far as the commands go with what they read."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np

from cmc.data.datasets.espgame import EspGame
from cmc.data.datasets.files import Files
from cmc.data.datasets.folder import Folder
from cmc.data.datasets.iaprtc12 import IaprTc12
from cmc.data.datasets.mirflickr import MirFlickr
from cmc.data.datasets.nuswide import NusWide
from cmc.data.formats import reduction
from cmc.data.formats import sparse as sparse_matrices
from cmc.data.preparation.distribution import Distribution
from cmc.data.preparation.extractors import of_run, read_fitted
from cmc.data.preparation.feature_store import fitted_file, told
from cmc.data.preparation.feature_store import skipped as left_out
from cmc.data.preparation.images import Unreadable, open_image
from cmc.data.preparation.selection import select
from cmc.inference import inputs as new_samples
from cmc.reporting.blocks import collect
from cmc.reporting.rows import gather
from cmc.reporting.runs import Run, noting, read_run
from cmc.reporting.tables import markdown
from cmc.runs.config import read_config
from cmc.runs.report import read_report
from cmc.runs.rows import read_rows


def features(folder: Path) -> None:
    """``data=files``."""
    Files(root=_door(folder)).read().fingerprint()


def sparse(folder: Path) -> None:
    """``data=files``, where any matrix is large."""
    with patch.multiple(sparse_matrices, LARGE=0, _NARROW=1), patch.object(reduction, "WIDTH", 2):
        Files(root=_door(folder)).read().fingerprint()


def incoming(folder: Path) -> None:
    """Samples for a trained model."""
    module = Files(root=_door(folder))
    new_samples.read(module, {"img": 5, "txt": 4})
    new_samples.read(module, {"txt": 4, "img": 5, "other": 3}, missing=["other"])


def _door(folder: Path) -> str:
    """The single file, or the folder of several."""
    held = list(folder.iterdir())
    return str(held[0] if len(held) == 1 else folder)


def prepare(folder: Path) -> None:
    """Go on with a preparation that was begun, in a copy."""
    out = folder / "copy"
    shutil.rmtree(out, ignore_errors=True)
    shutil.copytree(folder / "out", out)
    module = EspGame(root=str(out), raw=str(folder / "raw"), concepts=["man", "tree"])
    module.prepare(lambda name, rows: None, lambda name, total: None)


def espgame(folder: Path) -> None:
    _exhaust(EspGame(root=str(folder)).open(folder))


def nuswide(folder: Path) -> None:
    _exhaust(NusWide(root=str(folder)).open(folder))


def mirflickr(folder: Path) -> None:
    _exhaust(MirFlickr(root=str(folder)).open(folder))


def iaprtc12(folder: Path) -> None:
    _exhaust(IaprTc12(root=str(folder)).open(folder))


def captions(folder: Path) -> None:
    _exhaust(Folder(raw=str(folder)).open(folder))


def skipped(folder: Path) -> None:
    """What was left out of a feature folder, as a run tells it."""
    told(left_out(folder))


def extractors(folder: Path) -> None:
    """What a run keeps of its extractors, and the vector of a text by it."""
    found = of_run(folder)
    assert found is not None
    read_fitted(fitted_file(found.folder, "text"), found.extraction.text_width).transform(["a b"])


def _exhaust(source: Distribution | None) -> None:
    """Read all that a raw distribution offers."""
    if source is None:
        return
    for table in (*source.tables.values(), *([source.tags] if source.tags else [])):
        for part in range(len(table.paths)):
            for _ in table.blocks(part):
                pass
    if source.texts is not None:
        source.texts(np.arange(len(source.names)))
    if source.labels is not None:
        select(source, 2, None)


def image(folder: Path) -> None:
    try:
        open_image(folder / "x.png")
    except Unreadable:  # such a sample is left out
        return


def report(folder: Path) -> None:
    """``cmc.report``, but for its pictures."""
    runs: list[Run] = []
    for name in "ab":
        with noting([], folder / name):
            runs.append(read_run(folder / name))
    rows, _ = gather(runs, _silent, _silent)
    collect(runs, "pca", 10**6, _silent, _silent)
    if rows:
        markdown(rows)


def trained(folder: Path) -> None:
    """What ``cmc.evaluate`` and ``cmc.predict`` read before the checkpoint."""
    read_config(folder / "a")
    read_report(folder / "a")


def rows(folder: Path) -> None:
    """What the estimator reads of a run besides."""
    read_rows(folder / "a")


def _silent(*told: Any) -> None:
    """No progress is shown."""
