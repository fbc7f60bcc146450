"""Feature files in the forms that people pass around, read into ``Modalities``.

``read`` is the door. It finds out by content which form it was given (``sniff``), has that form's reader fetch every
array by name, and then tells modalities from labels, and rows from columns, by rules that are the same for all forms
(``assemble``). A new form is a sniffer, a reader and a row of ``FORMS``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from cmc.data.formats.arrays import NamedArrays
from cmc.data.formats.assemble import ORIENTATIONS, Found, assemble, sort_out
from cmc.data.formats.hdf5 import read_hdf5
from cmc.data.formats.matlab import read_mat
from cmc.data.formats.numpy_files import read_npy_folder, read_npz
from cmc.data.formats.sniff import (
    is_csv,
    is_csv_folder,
    is_hdf5,
    is_html,
    is_mat,
    is_mixed_folder,
    is_npy,
    is_npy_folder,
    is_zip,
)
from cmc.data.formats.tables import read_csv_folder
from cmc.data.modalities import Modalities
from cmc.errors import UserError

__all__ = ["FORMS", "ORIENTATIONS", "READABLE", "Form", "Found", "NamedArrays", "read", "read_arrays", "sort_out"]

Sniffer = Callable[[Path, bytes], bool]  # (path, its first kilobyte; nothing of a folder) -> is it this form?


class Form(NamedTuple):
    """A form of feature files: its name to the user, how to tell it, how to read it."""

    name: str
    is_it: Sniffer
    read: Callable[[Path], NamedArrays]


REFUSED: tuple[tuple[Sniffer, str], ...] = (
    (is_html, "a web page in the place of data; download the file again, in a browser if the site asks for a click"),
    (is_npy, "a single array; put one .npy file for each modality into a folder, and give the folder"),
    (is_csv, "a single table; put one .csv file for each modality into a folder, and give the folder"),
    (is_mixed_folder, "both .npy and .csv files are in it; keep those of one kind in a folder of their own"),
)
FORMS = (
    Form("a NumPy archive (.npz)", is_zip, read_npz),
    Form("HDF5 (.h5, or .mat of MATLAB v7.3)", is_hdf5, read_hdf5),
    Form("a MATLAB file up to v7 (.mat)", is_mat, read_mat),
    Form("a folder of .npy files (one for each modality, and labels.npy if known)", is_npy_folder, read_npy_folder),
    Form("a folder of .csv files (one for each modality, and labels.csv if known)", is_csv_folder, read_csv_folder),
)
READABLE = "; ".join(form.name for form in FORMS)


def read(
    path: str | Path,
    *,
    features: Sequence[str] | None = None,
    labels: str | None = None,
    orientation: str = "auto",
) -> Modalities:
    """Read a file or folder of features in any form of ``FORMS``.

    Modalities are a numbered series: ``view_0, view_1, ...``, ``X1, X2, ...``, the cells of ``X`` or ``data`` (any
    start; as many as ``n_views`` says, if it is there); otherwise every 2-d array that is not the labels. Labels are a
    vector under one of `cmc.data.formats.arrays.LABELS`, numbers or class names, or absent. Samples are the rows or the
    columns of all matrices alike: the side whose length they share, and the labels have. Where both sides do, and
    labels cannot tell, they are the rows, unless every matrix is square.

    Args:
        path: The file or folder.
        features: Names of the arrays, or of the files in a folder, that are the modalities, in this order; a vector
            among them is a modality of width 1. None to find them.
        labels: Name of the array that holds the labels. None to find it.
        orientation: Samples are ``rows`` (matrices are N x d), ``columns`` (d x N), or ``auto``.

    Returns:
        The modalities in their stored dtypes (of ``.csv`` float64); of a folder of ``.npy`` files, and of HDF5 where
        arrays lie there uncompressed and in one piece, they are memory-mapped. ``source`` is the path, with what was
        transposed and the names of the arrays that were not used.

    Raises:
        UserError: Nothing there; a form that is not read; a damaged file; Python objects in it; a name that it does
            not hold; no 2-d array; doubtful labels; a doubtful orientation; or a failed check of ``Modalities``.
    """
    path = Path(path)
    return assemble(path, read_arrays(path), features, labels, orientation)


def read_arrays(path: str | Path) -> NamedArrays:
    """Read every array of a file or folder by its name, in any form of ``FORMS``, without telling what it is.

    Returns:
        Names and arrays, as stored but for MATLAB's cells, sparse matrices and vectors; see
        `cmc.data.formats.matlab.name_variables`. What is no plain array, such as a struct, is an array of objects.

    Raises:
        UserError: Nothing there; a form that is not read; a damaged file; Python objects in it.
    """
    path = Path(path)
    head = _head(path)
    for is_it, why_not in REFUSED:
        if is_it(path, head):
            raise UserError(f"{path}: {why_not}")
    for form in FORMS:
        if form.is_it(path, head):
            return _of_some_size(path, form.read(path))
    if path.is_dir():
        raise UserError(f"{path}: nothing readable in it; what can be read: {READABLE}")
    raise UserError(f"{path}: no form that is read, or cut short in its first bytes; what can be read: {READABLE}")


def _of_some_size(path: Path, arrays: NamedArrays) -> NamedArrays:
    """Refuse arrays of empty values, of which a file of no size may declare any number."""
    for name, array in arrays.items():
        if array.size and not array.dtype.itemsize:
            raise UserError(
                f"{path}: the values of {name!r} have no size ({array.dtype}); leave it out, or save it again"
            )
    return arrays


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
