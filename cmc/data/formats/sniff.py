"""Tell a form by its first bytes, or a folder by its files; a file's name decides only where content cannot."""

from __future__ import annotations

from pathlib import Path


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
    if path.is_dir():
        return False
    return head.startswith(b"MATLAB 5.0") or head[126:128] in (b"IM", b"MI") or path.suffix == ".mat"


def is_csv(path: Path, head: bytes) -> bool:
    """Tell a single table, which has no mark of its own, by the file's name."""
    return path.suffix.lower() == ".csv" and bool(head) and b"\0" not in head


def is_npy_folder(path: Path, head: bytes) -> bool:
    """Tell a folder that holds ``.npy`` files."""
    return bool(files_in(path, ".npy"))


def is_csv_folder(path: Path, head: bytes) -> bool:
    """Tell a folder that holds ``.csv`` files."""
    return bool(files_in(path, ".csv"))


def is_mixed_folder(path: Path, head: bytes) -> bool:
    """Tell a folder that holds both."""
    return is_npy_folder(path, head) and is_csv_folder(path, head)


def files_in(path: Path, suffix: str) -> list[Path]:
    """List the files of a folder that end so, in the order of their names; hidden files are passed over."""
    if not path.is_dir():
        return []
    return sorted(file for file in path.iterdir() if file.suffix.lower() == suffix and not file.name.startswith("."))
