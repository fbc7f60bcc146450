"""Samples for a trained model: some of its modalities may be missing, for all samples or for some of them.

Whatever form they come in, they end as the trained model takes them: every modality by the run's name and in its order,
N x d, with a row of NaN where a sample lacks it.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cmc.data import formats
from cmc.data.datasets.files import Files, located, read_folder
from cmc.data.formats.arrays import SERIES, NamedArrays, is_label_name
from cmc.data.formats.choosing import without_counts
from cmc.data.formats.reduction import Components, reduced
from cmc.data.formats.sparse import is_sparse
from cmc.data.modalities import Modalities, fingerprint, recode, shape_text
from cmc.data.module import DataModule
from cmc.data.presence import presence
from cmc.errors import UserError

log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Incoming:
    """N samples for a trained model.

    Attributes:
        features: all of the run's modalities in its order, N x d each; a row of NaN where a sample lacks it.
        missing: modality -> how many samples lack it; those that none lacks are left out.
        labels: N positions in ``classes``; None if unknown.
        classes: one name a class.
        fingerprint: of the data as they came; see `cmc.data.modalities.fingerprint`.
        source: one phrase on where the data came from.
        ids: one a sample; None without.
        captions: one a sample; None without.
        held_out: rows that the data themselves set apart; None without.
    """

    features: dict[str, NDArray[Any]]
    missing: dict[str, int]
    labels: NDArray[np.int64] | None
    classes: tuple[str, ...] | None
    fingerprint: str
    source: str
    ids: NDArray[np.str_] | None = None
    captions: Sequence[str] | None = None
    held_out: NDArray[np.int64] | None = None

    @property
    def n_samples(self) -> int:
        """N."""
        return len(next(iter(self.features.values())))

    @property
    def n_classes(self) -> int | None:
        """Number of classes; None without labels."""
        return None if self.classes is None else len(self.classes)


def read(
    module: DataModule,
    dims: Mapping[str, int],
    missing: Sequence[str] = (),
    components: Components | None = None,
) -> Incoming:
    """Read a data set for a trained model.

    Args:
        module: the data set; of `cmc.data.datasets.files.Files` modalities may be absent, and rows of NaN.
        dims: the model's modality -> width.
        missing: modalities to do without, whether the data have them or not.
        components: what the model's sparse modalities are reduced by.

    Raises:
        UserError: the data cannot be read, or do not fit the model.
    """
    if isinstance(module, Files) and not module.missing:
        found, told = _found(module, dims, missing, components or {}), list(map(str, module.told.features or ()))
    else:
        found, told = _unchecked(module.given()), []
    return arrange(found, dims, missing, told)


def arrange(
    found: formats.Found, dims: Mapping[str, int], missing: Sequence[str] = (), told: Sequence[str] = ()
) -> Incoming:
    """Bring features to the form that a trained model takes.

    Modalities are matched by name. Names that the model does not know are matched by order, where there is one for each
    modality still without a match and the names are told, or all of them are a numbered series (``view_0``, ``X1``).

    Args:
        found: features and labels, not yet checked.
        dims: the model's modality -> width.
        missing: modalities to do without.
        told: names in the order of the model's modalities, as the user gave them.

    Raises:
        UserError: the line names the modality, and where it is one the row.
    """
    if unknown := [name for name in missing if name not in dims]:
        raise UserError(f"missing: no modality {unknown[0]!r}; the run has {_listed(dims)}")
    try:
        expected = [name for name in dims if name not in missing]
        features = _matched(found.features, dims, expected, told)
        n = _check_shapes(features, dims)
        _, lacking = presence(features)
        labels, classes = recode(found.labels, found.classes, n)
    except UserError as mistake:
        raise UserError(f"{found.source}: {mistake}" if found.source else str(mistake)) from None
    for remark in found.remarks:
        log.info("data: %s", remark)
    absent = {name: n for name in dims if name not in features}
    whole = {name: features[name] if name in features else nowhere(n, dims[name]) for name in dims}
    mark = fingerprint(found.features, labels, classes)
    ids = found.ids if found.ids is not None and len(found.ids) == n else None
    captions = found.captions if found.captions is not None and len(found.captions) == n else None
    lack = {**lacking, **absent}
    return Incoming(whole, lack, labels, classes, mark, found.source, ids, captions, found.held_out)


def _unchecked(data: Modalities) -> formats.Found:
    return formats.Found(
        data.features, data.labels, data.classes, data.source, data.ids, data.captions, data.held_out, data.remarks
    )


def _found(module: Files, dims: Mapping[str, int], missing: Sequence[str], components: Components) -> formats.Found:
    """What files hold, with the names and widths of the model as a help in telling what is what."""
    path, told = located(module.root), module.told
    if (strict := read_folder(path, told)) is not None:
        return _unchecked(strict)
    held = formats.read_contents(path, told.ids)
    known = [name for name in dims if name in held.arrays and name not in missing and name != told.labels]
    if not told.features and known:
        _check_unknown(path, held.arrays, known, dims, missing, told.labels)
        held = _like_training(held, known, dims)
        told = replace(told, features=known)
    if told.orientation == "auto" and known == told.features and not held.ids:
        told = replace(told, orientation=_orientation({name: held.arrays[name] for name in known}, dims))
    found = formats.sort_out(path, held, told)
    found = found._replace(features=reduced(found.features, components))
    if large := next((name for name, array in found.features.items() if is_sparse(array)), None):
        raise UserError(f"{path}: {large!r} is sparse and large, and the run was trained on no such modality")
    return found


def _like_training(held: formats.Contents, known: list[str], dims: Mapping[str, int]) -> formats.Contents:
    """Without the columns that count rows, and pictures flattened, as training read them, where widths say so."""
    named = {name: held.arrays[name] for name in known}
    for name, array in named.items():
        if array.ndim > 2 and array[0].size == dims[name]:
            held.arrays[name] = array.reshape(len(array), -1)
    for name, array in without_counts(held, {name: held.arrays[name] for name in known}).items():
        if array.shape[1:] == (dims[name],):
            held.arrays[name] = array
    return held


def _check_unknown(
    path: Path,
    arrays: NamedArrays,
    known: list[str],
    dims: Mapping[str, int],
    missing: Sequence[str],
    labels: str | None,
) -> None:
    """Where a modality is not there, a matrix of a name that the model does not know might be it."""
    absent = [name for name in dims if name not in known and name not in missing]
    other = [
        name
        for name, array in arrays.items()
        if array.ndim == 2 and name not in (*dims, labels) and not is_label_name(name.rpartition(":")[2])
    ]
    if absent and other:
        raise UserError(
            f"{path}: {other[0]!r} is no modality of the run, and {absent[0]!r} is not there; say which is which, "
            f"data.features=[{','.join([*known, other[0]])}], or missing=[{absent[0]}]"
        )


def _orientation(arrays: NamedArrays, dims: Mapping[str, int]) -> str:
    """Tell by the widths, where they can tell."""
    fits = [all(a.ndim == 2 and a.shape[side] == dims[name] for name, a in arrays.items()) for side in (1, 0)]
    return "auto" if fits[0] == fits[1] else ("rows" if fits[0] else "columns")


def _matched(features: NamedArrays, dims: Mapping[str, int], expected: list[str], told: Sequence[str]) -> NamedArrays:
    """The features by the model's names, in its order, without those to do without."""
    agreed = {name: features[name] for name in expected if name in features}
    others = [name for name in features if name not in dims]
    left = [name for name in expected if name not in agreed]
    ordered = set(others) <= set(told) or (not agreed and all(map(SERIES.fullmatch, others)))
    if len(others) == len(left) and ordered:
        agreed |= {name: features[other] for name, other in zip(left, others, strict=True)}
        return {name: agreed[name] for name in expected}
    if agreed and not others:
        return agreed
    if not others:
        raise UserError(f"no modality is left; the run has {_listed(dims)}, give at least one of them")
    held = ", ".join(f"{name!r} {shape_text(array)}" for name, array in features.items())
    raise UserError(
        f"holds {held}, but the run knows {_listed(dims)}; say data.features=[...], one name for each of these in this "
        "order, and name those that are not there in missing=[...]"
    )


def _check_shapes(features: NamedArrays, dims: Mapping[str, int]) -> int:
    """The number of samples."""
    rows = {}
    for name, array in features.items():
        if array.ndim != 2 or array.dtype.kind not in "buif":
            raise UserError(f"modality {name!r} is {shape_text(array)} of {array.dtype}: give real numbers, N x d")
        if array.shape[1] != dims[name]:
            turned = "; if samples are columns, say data.orientation=columns" if len(array) == dims[name] else ""
            raise UserError(f"modality {name!r} has width {array.shape[1]}, but the run's has {dims[name]}{turned}")
        rows[name] = len(array)
    if len(set(rows.values())) > 1:
        told = ", ".join(f"{name!r} {n}" for name, n in rows.items())
        raise UserError(f"numbers of rows differ ({told}): give one row a sample, of NaN where a sample lacks it")
    n = next(iter(rows.values()))
    if not n:
        raise UserError("there are no samples")
    return n


def nowhere(n: int, width: int) -> NDArray[np.float32]:
    """N x width of NaN, in the memory of one."""
    return np.broadcast_to(np.float32(np.nan), (n, width))


def _listed(dims: Mapping[str, int]) -> str:
    return ", ".join(f"{name!r} ({width})" for name, width in dims.items())
