"""Feature files in the forms that people pass around, read into ``Modalities``.

``read`` is the door. It finds out by content which form it was given, has that form's reader fetch every array by
name, and then tells modalities from labels by rules that are the same for all forms. A new form is a sniffer, a reader
and a row of ``FORMS``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from cmc.data.modalities import Modalities, shape_text
from cmc.errors import UserError

Arrays = dict[str, NDArray[Any]]
Sniffer = Callable[[Path, bytes], bool]  # (path, its first kilobyte; nothing of a folder) -> is it this form?

LABELS = ("labels", "label", "Y", "y", "gt", "truth", "L")
SERIES = re.compile(r"(view_?|X_?)(\d+)")


def read(path: str | Path) -> Modalities:
    """Read a file or folder of features in any form of ``FORMS``.

    Modalities are the arrays ``view_0, view_1, ...`` or ``X1, X2, ...`` (any start; as many as ``n_views`` says, if it
    is there), otherwise every 2-d array that is not the labels. Labels are a vector under one of ``LABELS``, or absent.
    Matrices are N x d; where all of them are d x N by the labels' length, they are transposed. ``source`` of the result
    is the path, with the names of the arrays that were not used.

    Args:
        path: The file or folder.

    Returns:
        The modalities in their stored dtypes; of a folder of ``.npy`` files they are memory-mapped.

    Raises:
        UserError: Nothing there; a form that is not read; a damaged file; Python objects in it; no 2-d array;
            doubtful labels; or a failed check of ``Modalities``.
    """
    path = Path(path)
    head = _head(path)
    for is_it, why_not in REFUSED:
        if is_it(path, head):
            raise UserError(f"{path}: {why_not}")
    for form in FORMS:
        if form.is_it(path, head):
            return _assemble(path, form.read(path))
    raise UserError(f"{path}: no form that is read, or cut short in its first bytes; what can be read: {READABLE}")


def read_npz(path: Path) -> Arrays:
    """Read all arrays of a NumPy archive; nothing in it is ever unpickled.

    Raises:
        UserError: The archive is damaged, or holds something other than plain arrays.
    """
    arrays: Arrays = {}
    # opened here because np.load leaves a file open that proves to be cut short
    with _reading(str(path), "a NumPy archive"), path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
        for name in archive.files:
            with _reading(f"{path}, array {name!r}", "a NumPy array"):
                array = archive[name]
            if not isinstance(array, np.ndarray):
                raise UserError(f"{path}: {name!r} in it is no NumPy array; unpack the archive and give what it holds")
            arrays[name] = array
    return arrays


def read_mat(path: Path) -> Arrays:
    """Read all variables of a MATLAB file up to v7.

    The cells of ``X`` become ``X1, X2, ...`` as in MATLAB's ``X{1}, X{2}, ...``; sparse matrices become dense; what
    MATLAB holds as a matrix of one row or column becomes a vector, unless its name makes it a modality.

    Raises:
        UserError: The file is damaged.
    """
    from scipy.io import loadmat

    with _reading(str(path), "a MATLAB file"):
        variables = loadmat(path, appendmat=False)
    arrays: Arrays = {}
    for name, value in variables.items():
        if name == "X" and value.dtype == object:
            arrays |= {f"X{i}": _dense(cell) for i, cell in enumerate(value.ravel(order="F"), start=1)}
        elif SERIES.fullmatch(name):
            arrays[name] = _dense(value)
        elif not name.startswith("__"):
            array = _dense(value)
            arrays[name] = array.squeeze() if 1 in array.shape else array
    return arrays


def read_npy_folder(path: Path) -> Arrays:
    """Map all ``.npy`` files of a folder into memory, each named by its file; hidden files are passed over.

    Raises:
        UserError: There is none, or one is damaged or holds Python objects.
    """
    files = sorted(file for file in path.glob("*.npy") if not file.name.startswith("."))
    if not files:
        raise UserError(f"{path}: nothing readable in it; what can be read: {READABLE}")
    arrays: Arrays = {}
    for file in files:
        with _reading(str(file), "a NumPy array"):
            arrays[file.stem] = np.lib.format.open_memmap(file, mode="r")
    return arrays


def is_html(path: Path, head: bytes) -> bool:
    """Tell a web page, which a failed download leaves in the place of a file."""
    return head.lstrip(b"\xef\xbb\xbf \t\r\n").lower().startswith((b"<!doctype html", b"<html"))


def is_hdf5(path: Path, head: bytes) -> bool:
    """Tell an HDF5 file, bare or behind MATLAB's 512 bytes."""
    return b"\x89HDF\r\n\x1a\n" in (head[:8], head[512:520]) or head.startswith(b"MATLAB 7.3")


def is_npy(path: Path, head: bytes) -> bool:
    """Tell a single NumPy array."""
    return head.startswith(b"\x93NUMPY")


def is_zip(path: Path, head: bytes) -> bool:
    """Tell a zip archive, an empty one too."""
    return head.startswith((b"PK\x03\x04", b"PK\x05\x06"))


def is_mat(path: Path, head: bytes) -> bool:
    """Tell a MATLAB file: v5 to v7 by their header, v4, which has none, by the file's name."""
    return head.startswith(b"MATLAB 5.0") or head[126:128] in (b"IM", b"MI") or path.suffix == ".mat"


def is_folder(path: Path, head: bytes) -> bool:
    """Tell a folder."""
    return path.is_dir()


class Form(NamedTuple):
    """A form of feature files: its name to the user, how to tell it, how to read it."""

    name: str
    is_it: Sniffer
    read: Callable[[Path], Arrays]


REFUSED: tuple[tuple[Sniffer, str], ...] = (
    (is_html, "a web page in the place of data; download the file again, in a browser if the site asks for a click"),
    (is_hdf5, "HDF5, such as MATLAB v7.3, is not read; in MATLAB, save it again with the option '-v7'"),
    (is_npy, "a single array; put one .npy file for each modality into a folder, and give the folder"),
)
FORMS = (
    Form("a NumPy archive (.npz)", is_zip, read_npz),
    Form("a MATLAB file up to v7 (.mat)", is_mat, read_mat),
    Form("a folder of .npy files (one for each modality, and labels.npy if known)", is_folder, read_npy_folder),
)
READABLE = "; ".join(form.name for form in FORMS)


def _head(path: Path) -> bytes:
    try:
        if path.is_dir():
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


@contextmanager
def _reading(where: str, form: str) -> Iterator[None]:
    """Turn whatever a library raises on a damaged file into one line."""
    try:
        yield
    except UserError:
        raise
    except MemoryError:
        raise UserError(
            f"{where}: does not fit into memory; save each modality as .npy, and give their folder, which is mapped"
        ) from None
    except Exception as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        if re.search("Object arrays cannot be loaded|Python objects in dtype", reason):
            raise UserError(
                f"{where}: holds Python objects, and loading these could run any code; save it as plain numbers"
            ) from None
        raise UserError(
            f"{where}: cannot be read as {form}; cut short or damaged? copy or download it again ({reason})"
        ) from None


def _dense(value: Any) -> NDArray[Any]:
    return np.asarray(value.toarray() if hasattr(value, "toarray") else value)


def _assemble(path: Path, arrays: Arrays) -> Modalities:
    """Tell modalities from labels among a file's arrays."""
    labels = _labels(path, arrays)
    features = _features(path, {name: array for name, array in arrays.items() if name not in LABELS})
    unused = sorted(arrays.keys() - features.keys() - {*LABELS, "n_views"})
    source = f"{path} (not used: {', '.join(map(repr, unused))})" if unused else str(path)
    return Modalities(_upright(features, labels), labels, source=source)


def _labels(path: Path, arrays: Arrays) -> NDArray[Any] | None:
    found = {name: arrays[name] for name in LABELS if name in arrays}
    for name, array in found.items():
        if array.size != max(array.shape, default=0):
            raise UserError(
                f"{path}: {name!r} is {shape_text(array)}, but labels are one whole number a sample; "
                "store class numbers there, or rename it if it is a modality"
            )
    vectors = [array.ravel() for array in found.values()]
    if any(not np.array_equal(vector, vectors[0]) for vector in vectors):
        raise UserError(f"{path}: labels under {' and '.join(map(repr, found))} differ; keep one of them")
    return vectors[0] if vectors else None


def _features(path: Path, arrays: Arrays) -> Arrays:
    series = sorted((match[1], int(match[2]), name) for name in arrays if (match := SERIES.fullmatch(name)))
    if "n_views" in arrays and not np.array_equal(arrays["n_views"].ravel(), [len(series)]):
        held = ", ".join(name for *_, name in series) or "none"
        raise UserError(f"{path}: n_views is {arrays['n_views']}, but of view_0, view_1, ... it holds {held}")
    if len(series) > 1:
        return {name: arrays[name] for *_, name in series}
    matrices = {name: array for name, array in arrays.items() if array.ndim == 2 and array.dtype.kind in "buifc"}
    if not matrices:
        held = ", ".join(f"{name!r} {shape_text(array)}" for name, array in arrays.items()) or "nothing"
        raise UserError(f"{path}: no 2-d array in it (it holds {held}); give every modality as N x d")
    for name, array in matrices.items():
        if 1 in array.shape:  # most likely labels under another name, which must not become a modality unasked
            raise UserError(
                f"{path}: {name!r} is {shape_text(array)}; name it labels if it is that, view_0, view_1, ... if all "
                "arrays so named are modalities, or make it 1-d to have it passed over"
            )
    return matrices


def _upright(features: Arrays, labels: NDArray[Any] | None) -> Arrays:
    """Transpose where every matrix is d x N by the labels' length, and not every one is square."""
    if labels is None or any(array.shape[1:] != labels.shape for array in features.values()):
        return features
    if all(len(array) == len(labels) for array in features.values()):
        return features
    return {name: array.T for name, array in features.items()}
