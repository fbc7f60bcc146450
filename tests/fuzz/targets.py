"""Every reader, with a valid folder that it reads and the one file of it that is mangled.

Whatever that file holds, a reader has two ways to end: it reads, or it raises `UserError` with one line.
"""

from __future__ import annotations

import hashlib
import shutil
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cmc.errors import UserError
from tests.fuzz import containers, folders, readers

Read = Callable[[Path], Any]


@dataclass(frozen=True)
class Target:
    """One file that a reader reads.

    Attributes:
        make: writes a valid folder.
        file: the one of its files that is mangled.
        read: reads the folder.
        seeds: valid contents to begin with; None for the file's own.
        wrap: what becomes the file, of the mangled bytes: a container that mangling would only break.
        apart: whether it is read in a process of its own, whose end is one line. The fuzzer reads in its own process,
            to see what an input reaches, and that may die.
    """

    make: Callable[[Path], object]
    file: str
    read: Read
    seeds: Callable[[], list[bytes]] | None = None
    wrap: Callable[[bytes], bytes] = bytes
    apart: bool = False

    def beginnings(self, folder: Path) -> list[bytes]:
        """Seeds, of the folder once it is made."""
        return self.seeds() if self.seeds else [(folder / self.file).read_bytes()]


@dataclass(frozen=True)
class Finding:
    """What must not happen: a signature that tells it from others, and the traceback."""

    signature: str
    text: str


class Place:
    """A target's folder, made once; every attempt puts other bytes into it."""

    def __init__(self, target: Target, folder: Path) -> None:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        target.make(folder)
        self.target, self.folder = target, folder

    def attempt(self, data: bytes) -> Finding | None:
        """Read these bytes; None where that ends as it may."""
        (self.folder / self.target.file).write_bytes(self.target.wrap(data))
        try:
            self.target.read(self.folder)
        except UserError as refusal:
            if len(str(refusal).splitlines()) != 1:
                return Finding("a refusal of several lines", str(refusal))
        except Exception as error:
            return Finding(_signature(error), traceback.format_exc())
        return None


def _signature(error: BaseException) -> str:
    """The kind of exception, and the innermost lines of ours that it passed."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [f"{Path(f.filename).name}:{f.name}" for f in frames if "/cmc/" in f.filename]
    return f"{type(error).__name__} in {' < '.join(ours[:-3:-1])}"


def name_of(data: bytes) -> str:
    """A file's name for an input."""
    return hashlib.sha256(data).hexdigest()[:12]


TARGETS: dict[str, Target] = {
    "npz": Target(folders.npz, "x.npz", readers.features),
    "npz-member": Target(folders.npz, "x.npz", readers.features, folders.npy_seeds, folders.in_npz),
    "npy": Target(folders.npy, "img.npy", readers.features),
    "npy-labels": Target(folders.npy, "labels.npy", readers.features),
    "csv": Target(folders.csv, "img.csv", readers.features, folders.csv_seeds),
    "csv-labels": Target(folders.csv, "labels.csv", readers.features, folders.csv_label_seeds),
    "csv-ids": Target(folders.csv_ids, "txt.csv", readers.features),
    "csv-labels-by-id": Target(folders.csv_ids, "labels.csv", readers.features),
    "npz-splits": Target(folders.splits, "x.npz", readers.features),
    "h5mu": Target(folders.h5mu, "x.h5mu", readers.features, folders.h5mu_seeds, apart=True),
    "safetensors": Target(containers.safetensors, "x.safetensors", readers.features, containers.safetensors_seeds),
    "npz-mask": Target(containers.masked, "x.npz", readers.features, containers.mask_seeds, containers.in_masked),
    "sparse-npz": Target(containers.sparse_npz, "img.npz", readers.sparse, containers.sparse_seeds),
    "sparse-npz-member": Target(
        containers.sparse_npz, "img.npz", readers.sparse, containers.sparse_part_seeds, containers.in_sparse
    ),
    "parquet": Target(containers.parquet, "x.parquet", readers.features, containers.parquet_seeds, apart=True),
    "arrow": Target(containers.arrow, "x.arrow", readers.features, containers.arrow_seeds, apart=True),
    "h5ad": Target(folders.h5ad, "a.h5ad", readers.features, apart=True),
    "mat-4": Target(folders.mat4, "x.mat", readers.features, apart=True),
    "mat-5": Target(folders.mat5, "x.mat", readers.features, folders.mat5_seeds, apart=True),
    "mat-5-compressed": Target(
        folders.mat5, "x.mat", readers.features, folders.mat5_element_seeds, folders.in_compressed, apart=True
    ),
    "mat-7.3": Target(folders.mat73, "x.mat", readers.features, apart=True),
    "hdf5": Target(folders.hdf5, "x.h5", readers.features, folders.hdf5_seeds, apart=True),
    "released": Target(folders.released, "L.mat", readers.features, apart=True),
    "store-meta": Target(folders.store, "meta.json", readers.features),
    "store-array": Target(folders.store, "image.npy", readers.features),
    "store-labels": Target(folders.store, "labels.npy", readers.features),
    "store-progress": Target(folders.begun_store, "out/progress.json", readers.prepare),
    "incoming-npz": Target(folders.npz, "x.npz", readers.incoming, folders.npy_seeds, folders.in_npz),
    "incoming-csv": Target(folders.csv, "img.csv", readers.incoming),
    "lear-list": Target(folders.lear, "espgame_train_list.txt", readers.espgame),
    "lear-dictionary": Target(folders.lear, "espgame_dictionary.txt", readers.espgame),
    "lear-hvecs": Target(folders.lear, "espgame_train_annot.hvecs", readers.espgame),
    "lear-hvecs32": Target(folders.lear, "espgame_train_Rgb.hvecs32", readers.espgame),
    "lear-fvec": Target(folders.lear, "espgame_train_Gist.fvec", readers.espgame),
    "nuswide-list": Target(folders.nuswide, "ImageList/Imagelist.txt", readers.nuswide),
    "nuswide-concepts": Target(folders.nuswide, "ConceptsList/Concepts81.txt", readers.nuswide),
    "nuswide-labels": Target(folders.nuswide, "Groundtruth/AllLabels/Labels_sky.txt", readers.nuswide),
    "nuswide-numbers": Target(
        folders.nuswide,
        "NUS_WID_Low_Level_Features/Low_Level_Features/Train_Normalized_CH.dat",
        readers.nuswide,
    ),
    "nuswide-tags": Target(folders.nuswide, "NUS_WID_Tags/AllTags1k.txt", readers.nuswide),
    "nuswide-texts": Target(folders.nuswide, "NUS_WID_Tags/All_Tags.txt", readers.nuswide),
    "mirflickr-annotation": Target(folders.mirflickr, "mirflickr25k_annotations_v080/sky.txt", readers.mirflickr),
    "mirflickr-tags": Target(folders.mirflickr, "mirflickr/meta/tags/tags3.txt", readers.mirflickr),
    "iaprtc12-caption": Target(folders.iaprtc12, "iaprtc12/annotations_complete_eng/00/25.eng", readers.iaprtc12),
    "iaprtc12-regions": Target(folders.iaprtc12, "saiapr_tc-12/00/labels.txt", readers.iaprtc12),
    "iaprtc12-words": Target(folders.iaprtc12, "wlist.txt", readers.iaprtc12),
    "espgame-words": Target(folders.espgame, "ESP-ImageSet/LABELS/003.jpg.desc", readers.espgame),
    "captions": Target(folders.captions, "captions.csv", readers.captions),
    "caption-lines": Target(folders.caption_lines, "metadata.jsonl", readers.captions),
    "caption-tokens": Target(folders.caption_tokens, "a.token.txt", readers.captions),
    "caption-json": Target(folders.caption_json, "dataset.json", readers.captions),
    "caption-coco": Target(folders.caption_coco, "captions_a.json", readers.captions),
    "skipped": Target(folders.skipped, "skipped.csv", readers.skipped),
    "extractors": Target(folders.extractors, "extractors/extractors.json", readers.extractors),
    "extractors-fitted": Target(folders.extractors, "extractors/text.extractor.npz", readers.extractors),
    "extractors-weights": Target(
        folders.extractors, "extractors/text.extractor.npz", readers.extractors, folders.fitted_seeds, folders.in_fitted
    ),
    "image": Target(folders.image, "x.png", readers.image, folders.image_seeds),
    "report-metrics": Target(folders.runs, "a/metrics.json", readers.report),
    "report-config": Target(folders.runs, "a/config.yaml", readers.report),
    "report-history": Target(folders.runs, "a/history.csv", readers.report),
    "report-assignments": Target(folders.runs, "a/assignments.csv", readers.report),
    "report-embeddings": Target(folders.runs, "a/embeddings.npy", readers.report),
    "trained-metrics": Target(folders.runs, "a/metrics.json", readers.trained),
    "trained-config": Target(folders.runs, "a/config.yaml", readers.trained),
    "trained-assignments": Target(folders.runs, "a/assignments.csv", readers.rows),
    "trained-embeddings": Target(folders.runs, "a/embeddings.npy", readers.rows),
}
