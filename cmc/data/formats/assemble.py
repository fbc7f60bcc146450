"""Tell modalities from labels, rows from columns, and which rows belong together, among the arrays of any form."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from cmc.data.formats import choosing, labelling, masks, reduction
from cmc.data.formats.arrays import Contents, NamedArrays, as_ids, is_id_name
from cmc.data.formats.joining import INCOMPLETE, Joined, join, taken
from cmc.data.formats.orientation import ORIENTATIONS, Sides, upright
from cmc.data.formats.sparse import is_sparse, stacked
from cmc.data.formats.splits import SPLITS, split_up
from cmc.data.modalities import Modalities
from cmc.errors import UserError
from cmc.utils import validate


@dataclass(frozen=True)
class Told:
    """What the user says of a file that it would otherwise be found out, or decided, of it.

    Attributes:
        features: names of the modalities, in this order; None to find them.
        labels: name of the labels, an array's or a column's; None to find it.
        orientation: samples are ``rows`` (matrices are N x d), ``columns`` (d x N), or ``auto``.
        ids: name of the ids, an array's or a column's; None to find it.
        incomplete: where samples are not in all modalities: ``refuse`` them, ``drop`` them, or ``use`` what is there.
        split: of training and test parts: ``train``, with the other held out; ``test``; ``all``.
        mask: name of what says which samples have which modality; False for none; None to find it.

    Raises:
        UserError: a value that is none of these.
    """

    features: Sequence[str] | None = None
    labels: str | None = None
    orientation: str = "auto"
    ids: str | None = None
    incomplete: str = "refuse"
    split: str = "train"
    mask: str | bool | None = None

    def __post_init__(self) -> None:
        """Check the values."""
        are_names = self.features is None or validate.is_names(self.features)
        validate.require("data.features", self.features, are_names, "a list of names, such as [img,txt], or null")
        validate.text("data.labels", self.labels, "the name of an array, a file or a column, or null", or_null=True)
        validate.one_of("data.orientation", self.orientation, ORIENTATIONS)
        validate.text("data.ids", self.ids, "the name of an array or a column, or null", or_null=True)
        validate.one_of("data.incomplete", self.incomplete, INCOMPLETE)
        is_name = self.mask is None or self.mask is False or (isinstance(self.mask, str) and bool(self.mask))
        validate.require("data.mask", self.mask, is_name, "the name of an array, false, or null")
        validate.one_of("data.split", self.split, SPLITS)

    @property
    def is_what(self) -> bool:
        """Whether it says what is what, as no form that knows it needs."""
        return any(value not in (None, "auto") for value in (self.features, self.labels, self.orientation, self.ids))


class Found(NamedTuple):
    """What a file holds, before `Modalities` checks it; its fields are those of `Modalities`."""

    features: NamedArrays
    labels: NDArray[Any] | None
    classes: tuple[str, ...] | None
    source: str
    ids: NDArray[np.str_] | None = None
    captions: Sequence[str] | None = None
    held_out: NDArray[np.int64] | None = None
    remarks: tuple[str, ...] = ()
    offered: tuple[str, ...] = ()
    shapes: Mapping[str, tuple[int, ...]] = MappingProxyType({})


class _Part(NamedTuple):
    """One split of a file, brought together."""

    features: NamedArrays
    labels: NDArray[Any] | None
    classes: tuple[str, ...] | None
    ids: NDArray[np.str_] | None
    transposed: bool
    unused: list[str]
    remarks: list[str]
    offered: tuple[str, ...]
    shapes: Mapping[str, tuple[int, ...]]


def assemble(path: Path, held: Contents, told: Told | None = None) -> Modalities:
    """Make the modalities out of what a file holds; `cmc.data.formats.read` says by which rules."""
    return assembled(path, held, told or Told(), not_held_out)[0]


def assembled(
    path: Path, held: Contents, told: Told, training: Callable[[Found], NDArray[np.intp] | None]
) -> tuple[Modalities, reduction.Components]:
    """The same, and what large sparse matrices are reduced by.

    Args:
        path: of the file.
        held: what it holds.
        told: what must not be found out.
        training: the rows that are trained on; None for all.
    """
    found = sort_out(path, held, told)
    components: reduction.Components = {}
    if any(map(is_sparse, found.features.values())):
        try:
            components, remarks = reduction.fit(found.features, training(found))
        except UserError as mistake:
            raise UserError(f"{found.source}: {mistake}") from None
        features = reduction.reduced(found.features, components)
        found = found._replace(features=features, remarks=(*found.remarks, *remarks))
    return Modalities(**found._asdict()), components


def not_held_out(found: Found) -> NDArray[np.intp] | None:
    """The rows that the data do not set apart; None for all."""
    n = len(next(iter(found.features.values())))
    return None if found.held_out is None else np.setdiff1d(np.arange(n), found.held_out)


def sort_out(path: Path, held: Contents, told: Told) -> Found:
    """Tell modalities, N x d each, and labels among a file's arrays; see `cmc.data.formats.read`."""
    try:
        return _sort_out(path, held, told)
    except UserError as mistake:
        said = str(mistake)
        raise UserError(said if said.startswith(str(path)) else f"{path}: {said}") from None


def _sort_out(path: Path, held: Contents, told: Told) -> Found:
    parts = split_up(held) if not {*(told.features or ())} & {*held.arrays} else {}
    if told.labels in held.arrays and parts and told.labels not in parts["train"].arrays:
        parts = {}
    if not parts:
        part = _part(held, told)
        return _found(path, part, None, part.remarks)
    train = _part(parts["train"], told) if told.split != "test" else None
    test = _part(parts["test"], told) if told.split != "train" or _is_whole(parts) else None
    shown = ", ".join(parts["train"].arrays)
    for part in filter(None, (train, test)):
        if len(part.features) == 1:
            (only,) = part.features
            raise UserError(
                f"of {only!r} there are a training and a test part, and no other modality; give at least 2 of each, "
                "such as I_tr, T_tr, L_tr, I_te, T_te, L_te"
            )
    if train is None or test is None:
        one = train or test
        assert one is not None
        return _found(path, one, None, [f"the {told.split} part of {shown}", *one.remarks])
    both = _stacked(train, test)
    n_train, n = len(next(iter(train.features.values()))), len(next(iter(both.features.values())))
    held_out = np.arange(n_train, n) if told.split == "train" else None
    what = f"the test part ({n - n_train}) is held out" if told.split == "train" else "both parts"
    return _found(path, both, held_out, [f"splits of {shown}: {what} (data.split=train, test or all)", *both.remarks])


def _is_whole(parts: dict[str, Contents]) -> bool:
    """Whether the test part has all that the training part has, but for labels."""
    matrices = [{name for name, array in part.arrays.items() if array.ndim == 2} for part in parts.values()]
    return matrices[0] <= matrices[1] or matrices[1] <= matrices[0]


def _stacked(train: _Part, test: _Part) -> _Part:
    """One after the other."""
    if list(train.features) != list(test.features):
        said = " and ".join(", ".join(part.features) for part in (train, test))
        raise UserError(f"training and test parts are not of the same modalities ({said}); say data.features=[...]")
    features = {}
    for name, one in train.features.items():
        other = test.features[name]
        if one.ndim != other.ndim or one.shape[1:] != other.shape[1:]:
            raise UserError(f"{name!r} has {one.shape[1:]} columns in training, {other.shape[1:]} in the test part")
        features[name] = stacked(one, other)
    labels, classes = _stacked_labels(train, test)
    ids = None if train.ids is None or test.ids is None else np.concatenate([train.ids, test.ids])
    remarks = list(dict.fromkeys([*train.remarks, *test.remarks]))
    return train._replace(features=features, labels=labels, classes=classes, ids=ids, remarks=remarks)


def _stacked_labels(train: _Part, test: _Part) -> tuple[NDArray[Any] | None, tuple[str, ...] | None]:
    parts = [(part.labels, part.classes, len(next(iter(part.features.values())))) for part in (train, test)]
    if all(labels is None for labels, _, _ in parts):
        return None, None
    if all(classes is None for _, classes, _ in parts):
        filled = [np.full(n, np.nan) if labels is None else labels for labels, _, n in parts]
        return np.concatenate(filled), None
    classes = tuple(sorted({name for _, names, _ in parts for name in names or ()}))
    place = {name: code for code, name in enumerate(classes)}
    codes = []
    for labels, names, n in parts:
        known = np.array([*(place[name] for name in names or ()), -1])
        codes.append(np.full(n, -1) if labels is None or names is None else known[labels.astype(int)])
    return np.concatenate(codes), classes


def _found(path: Path, part: _Part, held_out: NDArray[np.int64] | None, remarks: list[str]) -> Found:
    notes = ["samples are columns"] if part.transposed else []
    notes += [f"not used: {_some(part.unused)}"] if part.unused else []
    source = f"{path} ({'; '.join(notes)})" if notes else str(path)
    return Found(
        part.features,
        part.labels,
        part.classes,
        source,
        ids=part.ids,
        held_out=held_out,
        remarks=tuple(remarks),
        offered=part.offered,
        shapes=part.shapes,
    )


def _some(names: Sequence[str], most: int = 10) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(map(repr, names[:most])) + more


def _part(held: Contents, told: Told) -> _Part:
    """Tell what is what in one split."""
    chosen = [str(name) for name in told.features or ()]
    for name in chosen:
        _check_there(held, "data.features", name)
    if told.labels in chosen:
        raise UserError(f"{told.labels!r} is named in both data.features and data.labels; take it out of one")
    common = _common_ids(held, told.ids)
    before = set(held.arrays)
    labels = labelling.find(held, told.labels, chosen)
    n_labels = next((len(values) for values in labels.values()), None)
    features = {name: held.arrays[name] for name in chosen} or choosing.choose(held, list(labels), n_labels, told.mask)
    if not chosen:
        choosing.doubt_triplets(features, n_labels)
    sides = Sides.of(held, features, labels, common)
    transposed = sides.transposed(told.orientation)
    ids = sides.ids(transposed)
    features = upright(features, transposed)
    if not chosen:
        features = choosing.without_counts(held, features)
    features, said = masks.settle(held, features, [*labels, *filter(None, [told.ids])], told.mask)
    joined = join(ids, told.incomplete)
    features = {name: taken(array, joined.rows[name]) for name, array in features.items()}
    if joined.ids is None:
        joined = joined._replace(ids=_ids_of_labels(held, labels, features))
    found, classes = labelling.settle(held, labels, joined.ids, joined.moved)
    if not chosen:
        choosing.doubt_one_hot(features, found)
        choosing.doubt_shared(held, features, found)
    used = {*features, *labels, *said, "n_views"} if before else set()
    offered = () if labels else labelling.offered(held, len(next(iter(features.values()))), [*features])
    unused = sorted(held.arrays.keys() - used - {told.ids})
    remarks = [*held.remarks, *joined.remarks]
    shapes = {name: held.shapes[name] for name in features if name in held.shapes}
    part = _Part(features, found, classes, joined.ids, transposed, unused, remarks, offered, shapes)
    return _complete(part) if told.incomplete == "drop" else part


def _check_there(held: Contents, key: str, name: str) -> None:
    if name not in held.arrays:
        close = difflib.get_close_matches(name, held.arrays, n=1)
        hint = f"; did you mean {close[0]}?" if close else ""
        raise UserError(f"{key} names {name!r}, which is not in it{hint} (it holds {labelling.listed(held.arrays)})")


def _common_ids(held: Contents, told: str | None) -> NDArray[np.str_] | None:
    """A vector of ids that holds for all arrays without ids of their own."""
    if told is not None and (held.ids or told not in held.arrays):
        if not held.ids:
            _check_there(held, "data.ids", told)
        return None
    names = [told] if told else [name for name in held.arrays if name and is_id_name(name)]
    for name in names:
        array = held.arrays[name]
        if array.size == max(array.shape, default=0) and array.dtype.kind in "iuU" and array.size > 1:
            ids = as_ids(array)
            if len(set(ids.tolist())) == len(ids):
                return ids
        if told:
            raise UserError(f"data.ids={told}: is no vector of ids, each once; name another, or leave it out")
    return None


def _ids_of_labels(held: Contents, labels: NamedArrays, features: NamedArrays) -> NDArray[np.str_] | None:
    """Where labels alone have ids, those are the samples', row by row."""
    for name in labels:
        ids = held.ids.get(name)
        if ids is not None and len(ids) == len(next(iter(features.values()))):
            held.remarks.append(f"only {name} has ids; the modalities' rows are taken to be in its order")
            return ids
    return None


def _complete(part: _Part) -> _Part:
    """Without the samples that lack a modality, whose rows are NaN."""
    lengths = {len(array) for array in part.features.values()}
    if len(lengths) > 1 or any(array.ndim != 2 for array in part.features.values()):
        return part
    gone = np.zeros(lengths.pop(), bool)
    for array in part.features.values():
        if is_sparse(array):
            gone |= array.gaps  # type: ignore[attr-defined]
        elif array.dtype.kind == "f":
            gone |= np.isnan(array).all(1)
    if not gone.any():
        return part
    rows = np.flatnonzero(~gone)
    labels = part.labels if part.labels is None or len(part.labels) != len(gone) else part.labels[rows]
    features = {name: array[rows] for name, array in part.features.items()}
    remarks = [*part.remarks, f"{int(gone.sum())} of {len(gone)} samples lack a modality, and are left out"]
    return part._replace(
        features=features, labels=labels, ids=None if part.ids is None else part.ids[rows], remarks=remarks
    )


__all__ = ["ORIENTATIONS", "Found", "Joined", "Told", "assemble", "sort_out"]
