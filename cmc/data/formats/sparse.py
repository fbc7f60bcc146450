"""Sparse matrices: small ones become arrays; large ones stay as they are until `cmc.data.formats.reduction`."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import numpy as np
from numpy.typing import NDArray

from cmc.data.formats.arrays import NamedArrays, dense
from cmc.data.formats.numpy_files import map_npy, read_npz
from cmc.data.formats.sniff import files_in
from cmc.errors import UserError
from cmc.utils.safe_read import reading

LARGE = 2**31  # bytes of a matrix as float32, above which it stays sparse
_NARROW = 1024  # columns, up to which it does not
_COMPRESSED = ("csr", "csc")


class Sparse:
    """A large sparse matrix among a file's arrays: rows of it can be taken, and nobody looks at its numbers.

    Args:
        matrix: N x d, SciPy's ``csr_array``, checked.
        gaps: N, which rows are not there; none by default.
    """

    def __init__(self, matrix: Any, gaps: NDArray[np.bool_] | None = None) -> None:
        self.matrix = matrix
        self.gaps = np.zeros(matrix.shape[0], bool) if gaps is None else gaps
        self.shape: tuple[int, int] = matrix.shape
        self.dtype: np.dtype[Any] = matrix.dtype
        self.ndim, self.size = 2, math.prod(matrix.shape)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: Any) -> Any:
        return Sparse(self.matrix[rows], self.gaps[rows])

    def without(self, rows: NDArray[np.bool_]) -> Sparse:
        """The same, of which these rows are not there either."""
        return Sparse(self.matrix, self.gaps | rows)

    @property
    def T(self) -> Sparse:
        """Rows for columns."""
        return Sparse(self.matrix.T.tocsr())


def is_sparse(array: object) -> bool:
    """Whether an array is one of these, at whose numbers nobody looks."""
    return isinstance(array, Sparse)


def lean(matrix: Any) -> NDArray[Any]:
    """A plain array of SciPy's sparse one, or, of a large one, `Sparse`, which goes for an array until it is reduced.

    Raises:
        ValueError: its indices lie outside of it, as in a damaged file.
        MemoryError: it takes more than reading may.
    """
    n, width = matrix.shape
    if width <= _NARROW or n <= _NARROW or 4 * n * width <= LARGE:
        return dense(matrix)
    matrix.check_format(full_check=True)
    found: Any = Sparse(matrix.tocsr())
    return found  # type: ignore[no-any-return]


def stacked(one: NDArray[Any], other: NDArray[Any]) -> NDArray[Any]:
    """One below the other; sparse where either is."""
    if not is_sparse(one) and not is_sparse(other):
        return np.concatenate([one, other])
    from scipy.sparse import csr_array, vstack

    parts: list[Any] = [each if is_sparse(each) else Sparse(csr_array(each)) for each in (one, other)]
    whole = vstack([part.matrix for part in parts], format="csr")
    found: Any = Sparse(csr_array(whole), np.concatenate([part.gaps for part in parts]))
    return found  # type: ignore[no-any-return]


def is_sparse_npz(path: Path) -> bool:
    """Tell what ``scipy.sparse.save_npz`` writes."""
    try:
        with ZipFile(path) as archive:
            return {"format.npy", "shape.npy", "data.npy"} <= {*archive.namelist()}
    except Exception:  # whatever a damaged archive raises, the reader tells it
        return False


def read_sparse_npz(path: Path) -> NDArray[Any]:
    """Read a matrix that ``scipy.sparse.save_npz`` wrote.

    Raises:
        UserError: it is damaged, or of a form that is seldom saved.
    """
    from scipy.sparse import coo_array, csc_array, csr_array

    parts = read_npz(path)
    with reading(path, "a sparse matrix of SciPy"):
        kind = parts["format"].item()
        kind = kind.decode() if isinstance(kind, bytes) else str(kind)
        n, width = (int(side) for side in parts["shape"].tolist())
        values = parts["data"]
        if values.dtype.kind not in "buif" or values.ndim != 1:
            raise ValueError(f"its numbers are {values.ndim}-d, {values.dtype}")
        if kind == "coo":
            row, column = (parts[key] for key in ("row", "col")) if "row" in parts else parts["coords"]
            return lean(coo_array((values, (row, column)), shape=(n, width)).tocsr())
        if kind not in _COMPRESSED:
            raise UserError(f"{path}: sparse, {kind[:20]!r}; save it as csr: scipy.sparse.save_npz('x.npz', x.tocsr())")
        made = csr_array if kind == "csr" else csc_array
        return lean(made((values, parts["indices"], parts["indptr"]), shape=(n, width)))


def is_sparse_folder(path: Path, head: bytes) -> bool:
    """Tell a folder whose ``.npz`` files are sparse matrices."""
    files = files_in(path, ".npz")
    return bool(files) and all(map(is_sparse_npz, files))


def read_sparse_folder(path: Path) -> NamedArrays:
    """Read the sparse ``.npz`` of a folder, and map its ``.npy`` files into memory; each is named by its file.

    Raises:
        UserError: One is damaged or holds Python objects; two of one name.
    """
    arrays: NamedArrays = {}
    for file in files_in(path, ".npz", ".npy"):
        if file.stem in arrays:
            raise UserError(f"{path}: two files are called {file.stem!r}; rename one")
        arrays[file.stem] = read_sparse_npz(file) if file.suffix.lower() == ".npz" else map_npy(file)
    return arrays
