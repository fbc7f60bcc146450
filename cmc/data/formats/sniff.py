"""Tell a form by its first bytes, or a folder by its files; a file's name decides only where content cannot."""

from __future__ import annotations

from pathlib import Path

TABLES = ((".csv", ".tsv"), (".txt",))  # what tables end in; the later only where there is none of the earlier
ARROW = (".parquet", ".arrow", ".feather")


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
    if path.is_dir():
        return False
    return head.startswith(b"MATLAB 5.0") or head[126:128] in (b"IM", b"MI") or path.suffix == ".mat"


def is_npy_folder(path: Path, head: bytes) -> bool:
    """Tell a folder that holds ``.npy`` files."""
    return bool(files_in(path, ".npy"))


def is_table_folder(path: Path, head: bytes) -> bool:
    """Tell a folder that holds tables: ``.csv`` or ``.tsv`` files, or, without any, ``.txt`` files."""
    return any(files_in(path, *suffixes) for suffixes in TABLES)


def is_arrow_folder(path: Path, head: bytes) -> bool:
    """Tell a folder that holds Parquet or Arrow tables."""
    return bool(files_in(path, *ARROW))


def is_h5ad_folder(path: Path, head: bytes) -> bool:
    """Tell a folder that holds ``.h5ad`` files."""
    return bool(files_in(path, ".h5ad"))


def is_mixed_folder(path: Path, head: bytes) -> bool:
    """Tell a folder that holds files of several kinds: arrays, tables of text, tables of Arrow."""
    return sum(bool(files_in(path, *kind)) for kind in ((".npy",), TABLES[0], ARROW)) > 1


def files_in(path: Path, *suffixes: str) -> list[Path]:
    """List the files of a folder that end so, in the order of their names; hidden files and READMEs are passed over."""
    if not path.is_dir():
        return []
    files = (file for file in path.iterdir() if file.suffix.lower() in suffixes and not file.is_dir())
    return sorted(file for file in files if not file.name.startswith(".") and file.stem.lower() != "readme")
