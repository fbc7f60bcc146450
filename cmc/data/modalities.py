"""The container that every data set is read into, and the checks that it must pass."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cmc.data.presence import presence
from cmc.errors import UserError

CHECKED_AT_ONCE = 2**24  # bytes of a modality in memory while its numbers are checked or hashed
HASHED_AT_MOST = 2**28  # bytes of one array that enter the fingerprint
HASHED_PIECE = 2**20  # bytes of one row block where an array is hashed in part
UNLABELLED = -1  # in the place of a label that is not known


@dataclass(frozen=True, eq=False)
class Modalities:
    """N samples seen in two or more modalities, with their classes where these are known.

    A sample may lack modalities: its row there is NaN throughout.

    Every check happens on construction, so that whoever holds an instance may trust it. Afterwards ``labels`` are
    recoded to 0..n_classes-1 in the sorted order of the original values, whose names are kept in ``classes``. Where
    ``classes`` is given, it names the sorted label values; labels that take fewer values than there are names must be
    positions in ``classes`` already, and stay as they are. A sample without a label has NaN, or -1 where all other
    values are at least 0 and there are two of them or classes are given: -1 afterwards, which is no class.

    Attributes:
        features: name -> N x d array of any real dtype; an ``np.memmap`` is checked in blocks and never copied.
        labels: N whole numbers of any real dtype (also N x 1 or 1 x N), int64 after construction; None if unknown.
        classes: one name a class; by default the original label values, as text.
        source: one phrase on where the data came from; it opens every message about them.
        ids: one text a sample, by which it is known where it came from: an id, a file's name; None without.
        captions: one text a sample, for people to read; None without.
        held_out: rows that the data themselves set apart, to be scored and not trained on; None without.
        remarks: what was taken for what while reading, a phrase each; they are logged.
        offered: what could be labels, as the options that would take them.
        shapes: modality -> (H, W) or (H, W, C), where its rows are pictures of that shape, flattened.
        pictures: the folder in which ``ids`` are the names of picture files; None without.
        present: N x M, whether a sample has a modality; None where all have all.
        lacking: modality -> how many samples lack it; those that none lacks are left out.

    Raises:
        UserError: Fewer than 2 modalities; one that is no 2-d real array, has no columns or another number of rows;
            fewer than 2 samples; a number that is not finite as float32, but for rows of NaN; a sample without any
            modality, or a modality without any sample; labels that are not N whole numbers; classes that do not fit
            the labels; not one id or caption a sample.
    """

    features: dict[str, NDArray[Any]]
    labels: NDArray[Any] | None = None
    classes: tuple[str, ...] | None = None
    source: str = ""
    ids: NDArray[np.str_] | None = None
    captions: Sequence[str] | None = None
    held_out: NDArray[np.int64] | None = None
    remarks: tuple[str, ...] = ()
    offered: tuple[str, ...] = ()
    pictures: Path | None = None
    shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    present: NDArray[np.bool_] | None = field(init=False, default=None)
    lacking: dict[str, int] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        """Check everything; recode the labels."""
        try:
            present, lacking = _check_features(self.features)
            labels, classes = recode(self.labels, self.classes, self.n_samples)
            for what, texts in (("ids", self.ids), ("captions", self.captions)):
                if texts is not None and len(texts) != self.n_samples:
                    raise UserError(f"{len(texts)} {what} for {self.n_samples} samples: give one a sample")
        except UserError as mistake:
            raise UserError(f"{self.source}: {mistake}" if self.source else str(mistake)) from None
        object.__setattr__(self, "features", dict(self.features))
        object.__setattr__(self, "present", present)
        object.__setattr__(self, "lacking", lacking)
        object.__setattr__(self, "labels", labels)
        object.__setattr__(self, "classes", classes)

    @property
    def n_samples(self) -> int:
        """Number of samples N."""
        return int(next(iter(self.features.values())).shape[0])

    @property
    def dims(self) -> dict[str, int]:
        """Width d of each modality, by name."""
        return {name: int(array.shape[1]) for name, array in self.features.items()}

    @property
    def n_classes(self) -> int | None:
        """Number of classes, those without a sample in this subset included; None without labels."""
        return None if self.classes is None else len(self.classes)

    @property
    def n_labelled(self) -> int:
        """Number of samples whose label is known."""
        return 0 if self.labels is None else int((self.labels != UNLABELLED).sum())

    @property
    def nbytes(self) -> int:
        """Bytes that all features take as float32."""
        return 4 * self.n_samples * sum(self.dims.values())

    def fingerprint(self) -> str:
        """See the function of this name."""
        return fingerprint(self.features, self.labels, self.classes)


def fingerprint(
    features: Mapping[str, NDArray[Any]], labels: NDArray[Any] | None, classes: tuple[str, ...] | None
) -> str:
    """Return 32 hexadecimal digits (blake2b) that change with names, order, shapes, dtypes, numbers or labels.

    An array of up to 256 MiB is hashed completely; of a larger one evenly spaced row blocks of about 1 MiB each,
    256 MiB in all, the first and the last rows included. Memory order and memory mapping make no difference.
    """
    digest = blake2b(digest_size=16)
    arrays = dict(features) if labels is None else {**features, "": labels}
    digest.update(repr((classes, [(k, a.shape, a.dtype.str) for k, a in arrays.items()])).encode())
    for array in arrays.values():
        for block in _hashed_blocks(array):
            digest.update(np.ascontiguousarray(block).data)
    return digest.hexdigest()


def shape_text(array: NDArray[Any]) -> str:
    """Write an array's shape the way the messages do: ``100 x 32``."""
    return " x ".join(map(str, array.shape)) or "a single value"


def _check_features(features: dict[str, NDArray[Any]]) -> tuple[NDArray[np.bool_] | None, dict[str, int]]:
    """Which samples have which modality, as `presence` tells it."""
    if len(features) < 2:
        found = ", ".join(map(repr, features)) or "none"
        raise UserError(
            f"number of modalities is {len(features)} ({found}): give at least 2, each N x d, of the same samples"
        )
    for name, array in features.items():
        _check_array(name, array)
    first, *others = features
    for other in others:
        if len(features[other]) != len(features[first]):
            raise UserError(
                f"modality {first!r} has {len(features[first])} rows, modality {other!r} has {len(features[other])}: "
                "give every modality as N x d, one row for each of the same N samples"
            )
    if len(features[first]) < 2:
        raise UserError(f"number of samples is {len(features[first])}: give at least 2")
    present, lacking = presence(features, CHECKED_AT_ONCE)
    for name, count in lacking.items():
        if count == len(features[first]):
            raise UserError(f"modality {name!r} is NaN in every row: no sample has it; leave it out")
    return present, lacking


def _check_array(name: str, array: object) -> None:
    if type(array) not in (np.ndarray, np.memmap):
        raise UserError(f"modality {name!r} is a {type(array).__name__}: give a plain NumPy array, N x d")
    assert isinstance(array, np.ndarray)
    if array.dtype.names:
        raise UserError(
            f"modality {name!r} is an array of records of {len(array.dtype.names)} fields: save plain numbers, "
            "numpy.lib.recfunctions.structured_to_unstructured(x)"
        )
    if array.ndim != 2:
        raise UserError(f"modality {name!r} is {array.ndim}-d ({shape_text(array)}): give a 2-d array, N x d")
    if array.dtype.kind not in "buif":
        raise UserError(f"modality {name!r} has dtype {array.dtype}: give real numbers")
    if array.shape[1] == 0:
        raise UserError(f"modality {name!r} has no columns ({shape_text(array)}): give at least 1, or leave it out")


def recode(
    labels: NDArray[Any] | None, classes: tuple[str, ...] | None, n_samples: int
) -> tuple[NDArray[np.int64] | None, tuple[str, ...] | None]:
    """Turn labels into int64 codes 0..n_classes-1, and name the classes; see `Modalities`."""
    if labels is None:
        if classes is not None:
            raise UserError(f"{len(classes)} classes are named, but there are no labels: give both or neither")
        return None, None
    given = _check_labels(np.asarray(labels), n_samples)
    there = _labelled(given, classes is not None)
    values, found = np.unique(given[there], return_inverse=True)
    if not len(values):
        return None, None
    if classes is None:
        classes = tuple(str(int(value)) for value in values)
    elif len(values) != len(classes):
        if values[0] < 0 or values[-1] >= len(classes):
            raise UserError(
                f"labels take {len(values)} values from {values[0]} to {values[-1]}, but {len(classes)} classes are "
                "named: give one name a value"
            )
        found = values.astype(np.int64)[found]
    codes = np.full(n_samples, UNLABELLED, dtype=np.int64)
    codes[there] = found
    return codes, tuple(classes)


def _labelled(labels: NDArray[Any], are_codes: bool) -> NDArray[np.bool_]:
    """Which samples have a label."""
    there = ~np.isnan(labels) if labels.dtype.kind == "f" else np.ones(len(labels), bool)
    others = np.unique(labels[there & (labels != UNLABELLED)])
    if are_codes or not len(others) or (len(others) > 1 and others[0] >= 0):
        there &= labels != UNLABELLED
    return there


def _check_labels(labels: NDArray[Any], n_samples: int) -> NDArray[Any]:
    """Return the labels as N whole numbers, flattened, in their own dtype."""
    if labels.ndim == 2 and 1 in labels.shape:
        labels = labels.ravel()
    if labels.ndim != 1:
        raise UserError(f"labels are {shape_text(labels)}: give one whole number for each of the {n_samples} samples")
    if len(labels) != n_samples:
        raise UserError(f"{len(labels)} labels for {n_samples} samples: give one whole number a sample")
    whole = np.full(n_samples, labels.dtype.kind in "bui")
    if labels.dtype.kind == "f":
        whole = np.isnan(labels) | (np.isfinite(labels) & (labels == np.rint(labels)))
    if not whole.all():
        row = int(np.argmin(whole))
        value = " ".join(str(labels[row]).split())[:40]  # one line, whatever the object
        raise UserError(f"labels, row {row} is {value}: give whole numbers, or no labels at all (rows counted from 0)")
    return labels


def _hashed_blocks(array: NDArray[Any]) -> Iterator[NDArray[Any]]:
    """Cut out the row blocks that enter the fingerprint: all of them, or evenly spaced ones of a large array."""
    row_bytes = array.nbytes // len(array)
    if array.nbytes <= HASHED_AT_MOST:
        step = max(1, CHECKED_AT_ONCE // row_bytes)
        starts = list(range(0, len(array), step))
    else:
        step = max(1, HASHED_PIECE // row_bytes)
        count = max(2, HASHED_AT_MOST // (step * row_bytes))
        starts = [(len(array) - step) * i // (count - 1) for i in range(count)]
    for start in starts:
        yield array[start : start + step]
