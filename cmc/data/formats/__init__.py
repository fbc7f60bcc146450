"""Feature files in the forms that people pass around, read into ``Modalities``.

``read`` is the door. It finds out by content which form it was given (``sniff``), has that form's reader fetch every
array by name, and then tells modalities from labels, and rows from columns, by rules that are the same for all forms
(``assemble``). A new form is a sniffer, a reader and a row of ``FORMS``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from cmc.data.formats.arrays import Contents, NamedArrays
from cmc.data.formats.arrow import is_arrow
from cmc.data.formats.arrow_tables import read_arrow, read_arrow_folder
from cmc.data.formats.assemble import ORIENTATIONS, Found, Told, assemble, sort_out
from cmc.data.formats.columns import read_table_folder
from cmc.data.formats.foreign import refuse_foreign
from cmc.data.formats.hdf5 import read_h5ad_folder, read_hdf5
from cmc.data.formats.matlab import read_mat
from cmc.data.formats.numpy_files import read_npy_folder, read_npz
from cmc.data.formats.safetensors import is_safetensors, read_safetensors
from cmc.data.formats.sniff import (
    is_arrow_folder,
    is_h5ad_folder,
    is_hdf5,
    is_mat,
    is_mixed_folder,
    is_npy_folder,
    is_table_folder,
    is_zip,
)
from cmc.data.formats.sparse import is_sparse, is_sparse_folder, read_sparse_folder
from cmc.data.modalities import Modalities
from cmc.errors import UserError

__all__ = [
    "FORMS",
    "ORIENTATIONS",
    "READABLE",
    "Contents",
    "Form",
    "Found",
    "NamedArrays",
    "Told",
    "read",
    "read_arrays",
    "read_contents",
    "sort_out",
]

Sniffer = Callable[[Path, bytes], bool]  # (path, its first kilobyte; nothing of a folder) -> is it this form?
Reader = Callable[[Path, str | None], Contents]  # (path, the ids' column where the user names it)


class Form(NamedTuple):
    """A form of feature files: its name to the user, how to tell it, how to read it."""

    name: str
    is_it: Sniffer
    read: Reader


def _arrays(read: Callable[[Path], NamedArrays]) -> Reader:
    """A reader of arrays that have nothing but names."""
    return lambda path, ids: Contents(read(path))


FORMS = (
    Form("a folder of sparse .npz of SciPy, and .npy files", is_sparse_folder, _arrays(read_sparse_folder)),
    Form("a NumPy archive (.npz)", is_zip, _arrays(read_npz)),
    Form("HDF5 (.h5, .mat of MATLAB v7.3, .h5ad, .h5mu)", is_hdf5, lambda path, ids: read_hdf5(path)),
    Form("safetensors (.safetensors)", is_safetensors, _arrays(read_safetensors)),
    Form("a Parquet or Arrow table (.parquet, .arrow, .feather)", is_arrow, read_arrow),
    Form("a MATLAB file up to v7 (.mat)", is_mat, _arrays(read_mat)),
    Form(
        "a folder of .npy files (one for each modality, and labels.npy if known)",
        is_npy_folder,
        _arrays(read_npy_folder),
    ),
    Form(
        "a folder of .parquet or .arrow tables (one for each modality, or shards)", is_arrow_folder, read_arrow_folder
    ),
    Form("a folder of .h5ad files (one for each modality)", is_h5ad_folder, lambda path, ids: read_h5ad_folder(path)),
    Form(
        "a folder of .csv, .tsv or .txt tables (one for each modality, and labels.csv if known)",
        is_table_folder,
        read_table_folder,
    ),
)
READABLE = "; ".join(form.name for form in FORMS)


def read(
    path: str | Path,
    *,
    features: Sequence[str] | None = None,
    labels: str | None = None,
    orientation: str = "auto",
    ids: str | None = None,
    incomplete: str = "refuse",
    split: str = "train",
    mask: str | bool | None = None,
) -> Modalities:
    """Read a file or folder of features in any form of ``FORMS``.

    Modalities are a numbered series: ``view_0, view_1, ...``, ``X1, X2, ...``, the cells of ``X`` or ``data`` (any
    start; as many as ``n_views`` says, if it is there); otherwise every 2-d array that is not the labels. Labels are a
    vector, or a one-hot matrix, under a name of `cmc.data.formats.arrays.is_label_name`, numbers or class names, or
    absent. Samples are the rows or the columns of all matrices alike: the side whose names or length they share, and
    the labels have. Where both sides do, and labels cannot tell, they are the rows, unless every matrix is square.
    Rows that have ids are joined by them; columns that count the rows are left out.

    Args:
        path: The file or folder.
        features: Names of the arrays, or of the files in a folder, that are the modalities, in this order; a vector
            among them is a modality of width 1. None to find them.
        labels: Name of the array, file or column that holds the labels. None to find it.
        orientation: Samples are ``rows`` (matrices are N x d), ``columns`` (d x N), or ``auto``.
        ids: Name of the array or column that holds the samples' ids. None to find it.
        incomplete: Samples that are not in all modalities: ``refuse`` them, ``drop`` them, or ``use`` what is there.
        split: Of training and test parts ``train``, with the other held out, ``test`` or ``all``.
        mask: Name of the array of 0 and 1 that says which samples have which modality: the others become rows of NaN.
            False for none, None to find it.

    Returns:
        The modalities in their stored dtypes (of tables float64); of a folder of ``.npy`` files, of safetensors, and of
        HDF5 where arrays lie there uncompressed and in one piece, they are memory-mapped, unless rows are brought into
        another order. ``source`` is the path, with what was transposed and the names of the arrays that were not used.

    Raises:
        UserError: Nothing there; a form that is not read; a damaged file; Python objects in it; a name that it does
            not hold; no 2-d array; doubtful labels; a doubtful orientation; ids that do not fit; or a failed check of
            ``Modalities``.
    """
    path, told = Path(path), Told(features, labels, orientation, ids, incomplete, split, mask)
    return assemble(path, read_contents(path, ids), told)


def read_arrays(path: str | Path) -> NamedArrays:
    """Read every array of a file or folder by its name, in any form of ``FORMS``, without telling what it is.

    Returns:
        Names and arrays, as stored but for MATLAB's cells, sparse matrices and vectors; see
        `cmc.data.formats.matlab.name_variables`. What is no plain array, such as a struct, is an array of objects.

    Raises:
        UserError: Nothing there; a form that is not read; a damaged file; Python objects in it.
    """
    return read_contents(path).arrays


def read_contents(path: str | Path, ids: str | None = None) -> Contents:
    """Read every array by its name, as `read_arrays`, with the ids and headings that it has.

    Args:
        path: The file or folder.
        ids: Of tables, the column that holds ids; None to find it.

    Raises:
        UserError: As `read_arrays`; of tables, ids that are in doubt.
    """
    path = Path(path)
    head = _head(path)
    refuse_foreign(path, head)
    if is_mixed_folder(path, head):
        raise UserError(
            f"{path}: files of several kinds are in it (of .npy, .csv, .parquet); keep those of one kind in a folder "
            "of their own"
        )
    for form in FORMS:
        if form.is_it(path, head):
            held = form.read(path, ids)
            _of_some_size(path, held.arrays)
            return held
    if path.is_dir():
        raise UserError(f"{path}: nothing readable in it; what can be read: {READABLE}")
    raise UserError(f"{path}: no form that is read, or cut short in its first bytes; what can be read: {READABLE}")


def _of_some_size(path: Path, arrays: NamedArrays) -> None:
    """Refuse arrays of empty values, of which a file of no size may declare any number."""
    for name, array in arrays.items():
        if array.size and not is_sparse(array) and not array.dtype.itemsize:
            raise UserError(
                f"{path}: the values of {name!r} have no size ({array.dtype}); leave it out, or save it again"
            )


def _head(path: Path) -> bytes:
    try:
        if path.is_dir():
            next(path.iterdir(), None)
            return b""
        if not path.is_file():
            raise UserError(f"{path}: there is no such file or folder")
        with path.open("rb") as file:
            head = file.read(1024)
    except OSError as error:
        raise UserError(f"{path}: cannot be opened ({error.strerror})") from None
    if not head:
        raise UserError(f"{path}: the file is empty; copy or download it again")
    return head
