"""The run folder's results: ``metrics.json``, ``assignments.csv``, ``embeddings.npy``."""

from __future__ import annotations

import platform
import resource
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pytorch_lightning import Callback, Trainer
from torch import Tensor

from cmc import distributed
from cmc.callbacks.calibration import calibration
from cmc.callbacks.evaluation import Tally, unseen
from cmc.callbacks.stopping import how_it_ended
from cmc.data.modalities import UNLABELLED
from cmc.data.module import DataModule
from cmc.data.preparation.extractors import made_of
from cmc.functional.decisions import decide
from cmc.methods.base import Method
from cmc.methods.gaps import assign_present
from cmc.runs.embeddings import write_ids
from cmc.runs.report import write_report
from cmc.runs.tables import assignments, table
from cmc.utils import validate
from cmc.utils.atomic import atomic_write

_PACKAGES = ("pytorch-lightning", "hydra-core", "torchmetrics", "numpy", "scipy", "scikit-learn")


class Results(Callback):
    """After the last epoch: assign every sample once, score, and write what a reader of the run needs.

    ``metrics.json`` holds ``scores`` (and ``holdout``, where samples were held out; None without labels),
    ``label_free`` (see `Tally.label_free`), the protocol, and what traces the run: seed, data fingerprint,
    versions, commit, device, seconds, memory.
    ``assignments.csv`` has a row a sample: index, cluster, confidence, the margin between the two best clusters; of
    methods whose modalities have assignments of their own what each would say alone (``cluster_NAME``), and
    ``confidence_calibrated``, how probably another modality says this cluster, by the temperature in ``calibration``
    (`cmc.callbacks.calibration`); label, id and caption if known.
    ``embeddings.npy`` is N x D; where samples have ids, ``ids.txt`` beside it has one a line.

    Args:
        run: what tables call this run: ``method``, ``data``, ``seed``.
        embeddings: write ``embeddings.npy``.
    """

    def __init__(self, run: Mapping[str, Any], embeddings: bool = True) -> None:
        self._run = dict(run)
        is_choice = isinstance(embeddings, bool)
        self._embeddings = validate.require("callbacks.results.embeddings", embeddings, is_choice, "true or false")
        self._seconds: defaultdict[str, float] = defaultdict(float)
        self._epoch_began = self._fit_began = 0.0

    def on_fit_start(self, trainer: Trainer, pl_module: Any) -> None:
        """Start the clock, and the device's count of memory."""
        self._fit_began = time.monotonic()
        if trainer.strategy.root_device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(trainer.strategy.root_device)

    def on_train_epoch_start(self, trainer: Trainer, pl_module: Any) -> None:
        """Start the epoch's clock."""
        self._epoch_began = time.monotonic()

    def on_train_epoch_end(self, trainer: Trainer, pl_module: Any) -> None:
        """Count the epoch's seconds for its phase."""
        self._seconds[pl_module.phase.name] += time.monotonic() - self._epoch_began

    def state_dict(self) -> dict[str, Any]:
        """Seconds so far, for a resumed run."""
        return {"seconds": {**self._seconds, "total": self._total()}}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on counting."""
        self._seconds = defaultdict(float, state_dict["seconds"])

    def _total(self) -> float:
        return self._seconds["total"] + time.monotonic() - self._fit_began

    def on_fit_end(self, trainer: Trainer, pl_module: Any) -> None:
        """Write the files; ``metrics.json`` comes last and marks a finished run.

        Raises:
            UserError: the run is not finished (`how_it_ended`).
        """
        ending = how_it_ended(trainer, pl_module.schedule)
        folder, data = Path(trainer.default_root_dir), trainer.datamodule  # type: ignore[attr-defined]
        found = calibration(pl_module, data)
        whole = self._write(folder, "", pl_module, data, found)
        held = self._write(folder, "_holdout", pl_module, data, found) if data.held_out is not None else None
        report = {
            **self._run,
            **({"method": f"{self._run['method']} ({pl_module.variant})"} if pl_module.variant else {}),
            **({"data": _called(self._run["data"], data)} if data.surrogate or data.missing else {}),
            "scores": whole.scores(),
            **_scored(data),
            **({"holdout": held.scores()} if held is not None else {}),
            "label_free": whole.label_free(unseen(pl_module, data, held)),
            **({"calibration": found} if found is not None else {}),
            "protocol": _protocol(ending),
            **ending,
            **_facts(trainer, pl_module, data),
            "seconds": {name: round(s, 3) for name, s in {**self._seconds, "total": self._total()}.items()},
        }
        if not trainer.is_global_zero:
            return
        write_report(folder, report)

    def _write(
        self, folder: Path, suffix: str, method: Method, data: DataModule, found: Mapping[str, Any] | None
    ) -> Tally:
        """Write assignments and embeddings of the training samples, or of the held-out ones; return their tally."""
        held, temperature = bool(suffix), None if found is None else found["temperature"]
        labels, rows = (data.held_labels, data.held_rows) if held else (data.labels, data.rows)
        tally = Tally(method, data.n_classes, data.spaced)
        n = len(rows) if rows is not None else data.n_samples
        first, done = distributed.is_rank_zero(), 0
        written = table(folder / f"assignments{suffix}.csv") if first else nullcontext(_nowhere)
        drawn = _array(folder / f"embeddings{suffix}.npy") if first and self._embeddings else nullcontext(_nowhere)
        if first and self._embeddings and data.ids is not None:
            write_ids(folder, data.ids if rows is None else data.ids[rows], suffix)
        with written as append, drawn as append_block, method.evaluating():
            for batch in data.pass_over(held):
                assignment, each = assign_present(method, batch)
                tally.add(batch, assignment, each, labels)
                decided = decide(assignment, each, batch.present, temperature).each(
                    lambda x: distributed.all_gather_rows(x).cpu()
                )
                if self._embeddings:
                    block = distributed.all_gather_rows(method.embed(batch))
                    method.require_finite("embeddings", block)
                    append_block(block, n)
                index = torch.arange(done, done := done + batch.total)
                if first:
                    shown = (index if rows is None else torch.from_numpy(rows)[index]).tolist()
                    named = None if labels is None else _names(labels[index], data)
                    texts = (
                        None if of is None else [str(of[row]) for row in shown] for of in (data.ids, data.captions)
                    )
                    append(assignments(shown, *decided.columns(method.modalities), named, *texts))
        return tally


def _nowhere(*rows: Any) -> None:
    """What processes other than the first append to."""


@contextmanager
def _array(path: Path) -> Iterator[Callable[[Tensor, int], None]]:
    """Give a function that appends blocks of rows to an N x D ``.npy`` file, and is told N."""
    with atomic_write(path) as unfinished, unfinished.open("wb") as file:

        def append(block: Tensor, n: int) -> None:
            if not file.tell():
                form = {"descr": "<f4", "fortran_order": False, "shape": (n, block.shape[1])}
                np.lib.format.write_array_header_1_0(file, form)
            file.write(block.float().cpu().numpy().astype("<f4", order="C").tobytes())

        yield append


def _names(labels: Tensor, data: DataModule) -> list[str]:
    assert data.classes is not None
    return ["" if label == UNLABELLED else data.classes[label] for label in labels.tolist()]


def _called(name: str, data: DataModule) -> str:
    """What tables call the data: the name, and what was made of them."""
    taken = f" ({100 * data.missing:g}% incomplete)" if data.missing else ""
    return f"{name}{taken}{' (surrogate)' if data.surrogate else ''}"


def _scored(data: DataModule) -> dict[str, Any]:
    """How many samples the scores are of, where some have no label."""
    parts = {"scores": data.labels, "holdout": data.held_labels}
    counts = {
        part: {"labelled": int((labels != UNLABELLED).sum()), "samples": len(labels)}
        for part, labels in parts.items()
        if labels is not None
    }
    return {"scored": counts} if any(each["labelled"] < each["samples"] for each in counts.values()) else {}


def _protocol(ending: Mapping[str, Any]) -> str:
    by = f", which {ending['stopped']['measure']} chose without labels" if "stopped" in ending else ""
    return f"assignments of the last epoch{by}; labels used for scoring alone"


def _facts(trainer: Trainer, method: Method, data: DataModule) -> dict[str, Any]:
    """What traces a run: settings, data and their fingerprint, device, and the versions and commit of the code."""
    device = trainer.strategy.root_device
    return {
        "n_clusters": method.n_clusters,
        "features": {
            "source": data.source,
            "fingerprint": data.fingerprint,
            "n_samples": data.n_samples,
            "dims": data.dims,
            "scaling": data.scaler.kinds,
            "surrogate": data.surrogate,
            **({"lacking": data.lacking} if data.lacking else {}),
            "remarks": list(data.remarks),
            "doubts": data.doubts,
            **({"pictures": str(data.pictures.resolve())} if data.pictures is not None else {}),
            **({"extractors": made_of(data.prepared)} if data.prepared is not None else {}),
        },
        "shared": [
            {"modalities": list(pair.names), "held_out": pair.held_out, "by_chance": pair.by_chance}
            for pair in data.shared
        ],
        "n_parameters": sum(p.numel() for p in method.parameters()),
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
        "processes": trainer.world_size,
        "precision": str(trainer.precision),
        "threads": torch.get_num_threads(),
        "peak_memory_mib": round(_peak_memory(device), 1),
        "versions": {"cmc": _version("cmc"), "python": platform.python_version(), "torch": str(torch.__version__)}
        | {name: _version(name) for name in _PACKAGES},  # the build of torch is said by torch alone
        "git_commit": _commit(),
    }


def _peak_memory(device: torch.device) -> float:
    """MiB: of the device where it counts its own, else of this process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _commit() -> str | None:
    """The commit of the checkout that this code runs from, with ``+changes`` where it was edited; None outside one."""
    home = Path(__file__).resolve().parents[2]
    if not (home / ".git").exists():
        return None
    try:
        commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=home, capture_output=True, text=True, check=True)
        changes = subprocess.run(
            ["git", "status", "--porcelain", "--untracked-files=no"],
            cwd=home,
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return commit.stdout.strip() + ("+changes" if changes.stdout.strip() else "")
