"""What the columns of Parquet and Arrow tables are: modalities, ids, labels; of one table, or of one each."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cmc.data.formats.arrays import Contents, NamedArrays, as_ids, counts_up, is_id_name, is_label_name
from cmc.data.formats.arrow import COLUMN, HEADING, NESTED, WHOLE, read_one, read_single
from cmc.data.formats.child import read_apart
from cmc.data.formats.sniff import ARROW, files_in
from cmc.errors import UserError
from cmc.utils.packages import version_of

_FORM = "a Parquet or Arrow table"
_SHARD = re.compile(r"(.*?)[-_.]?\d+-of-\d+|(part)[-_.]\d+.*")  # train-00000-of-00003, part-00000-c3a8.snappy
_INDEX = "__index_level_0__"  # what pandas calls an index that is kept


def read_arrow(path: Path, ids: str | None = None) -> Contents:
    """Read one table of all modalities: each is a column of lists, or columns that are numbered alike.

    Args:
        path: the file, or the folder of its shards.
        ids: the column of ids; None to find it.

    Raises:
        UserError: the file is damaged; lists of several lengths in one column; columns that are nested.
    """
    version_of("pyarrow", "pyarrow", str(path), "parquet")
    found = read_apart(read_single, path, _FORM)
    held, nested = Contents({}), found.pop(NESTED)
    for name, array in found.items():
        if name.startswith(COLUMN):
            held.arrays[name.removeprefix(COLUMN)] = array
        else:
            held.headings[name.removeprefix(HEADING)] = array
    _index(held.arrays)
    if len(nested) and sum(array.ndim == 2 and array.dtype != object for array in held.arrays.values()) < 2:
        raise _nested(path, nested)
    held.remarks += [
        f"{name}: the column is {kind}, neither numbers nor one list of numbers a sample, and is left out"
        for name, kind in nested.tolist()
    ]
    return held


def _index(arrays: NamedArrays) -> None:
    """The index of a data frame is ids, unless it only counts."""
    index = arrays.pop(_INDEX, None)
    if index is not None and not counts_up(index):
        arrays.setdefault("index", index)


def _nested(path: Path, nested: NDArray[np.str_]) -> UserError:
    name, kind = nested[0].tolist()
    return UserError(
        f"{path}: the column {name!r} is {kind}, which is nested: a modality is one list of numbers a sample, all "
        "of one length; save it so (of the parts of a text or a picture the mean, of a struct each field by itself)"
    )


def read_arrow_folder(path: Path, ids: str | None = None) -> Contents:
    """Read all tables of a folder: shards of one, or one for each modality, which its file names.

    Args:
        path: the folder.
        ids: the column of ids; None to find it.

    Raises:
        UserError: as `read_arrow`; shards of several tables; ids that are blank or twice there.
    """
    files = files_in(path, *ARROW)
    shards = {(match[1] or match[2] or "").strip("-_.") for file in files if (match := _SHARD.fullmatch(file.stem))}
    if len(shards) > 1:
        raise UserError(f"{path}: shards of {len(shards)} tables ({', '.join(sorted(shards))}); give one a folder")
    if shards or len(files) == 1:
        return read_arrow(path if shards else files[0], ids)
    version_of("pyarrow", "pyarrow", str(path), "parquet")
    held = Contents({})
    for file in files:
        _take(held, file, read_apart(read_one, file, _FORM), ids)
    return held


def _take(held: Contents, file: Path, found: NamedArrays, told: str | None) -> None:
    """Put the columns of one modality's table where they belong."""
    nested, heads = found.pop(NESTED), found.pop(HEADING + WHOLE, np.empty(0, dtype=str))
    columns = {name.removeprefix(COLUMN): array for name, array in found.items()}
    _index(columns)
    if told is not None and told in (listed := heads.tolist()):
        columns[told] = columns[WHOLE][:, listed.index(told)]
        columns[WHOLE] = np.delete(columns[WHOLE], listed.index(told), 1)
        heads = np.delete(heads, listed.index(told))
    ids = _ids(file, columns, told)
    stem, matrices = file.stem, [name for name, array in columns.items() if array.ndim == 2 and array.dtype != object]
    if not matrices and len(nested):
        raise _nested(file, nested)
    alone = matrices if len(matrices) == 1 else [WHOLE]
    if is_label_name(stem) and len(columns) == 1:
        alone = [*columns]
    for name, array in columns.items():
        own = stem if name in alone else f"{stem}:{name}"
        held.arrays[own] = array[:, 0] if is_label_name(stem) and name in alone and array.shape[1:] == (1,) else array
        if name == WHOLE:
            held.headings[own] = heads
        if ids is not None:
            held.ids[own] = ids


def _ids(file: Path, columns: NamedArrays, told: str | None) -> NDArray[np.str_] | None:
    """The ids of a table's rows, which are taken out of its columns."""
    vectors = [name for name, array in columns.items() if array.ndim == 1]
    named = [name for name in vectors if name == told] or [name for name in vectors if name and is_id_name(name)]
    for name in named:
        ids = as_ids(columns[name])
        if len(set(ids.tolist())) == len(ids):
            del columns[name]
            return ids
        if told is not None:
            raise UserError(f"{file}: data.ids={told}: an id is there more than once; name another column")
    return None
