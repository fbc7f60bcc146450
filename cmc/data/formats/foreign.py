"""Files that are not read: what each is, and the line of Python or the option that leads on."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from cmc.data.formats.sniff import files_in, is_npy
from cmc.data.formats.sparse import is_sparse_npz
from cmc.errors import UserError

_SAVE = "numpy.savez('x.npz', **{k: numpy.asarray(v) for k, v in d.items()})"
_SHOWN = 4  # groups of columns in a message


class _Foreign(NamedTuple):
    """A form that is not read: how to tell it, what it is, what leads on."""

    is_it: Callable[[Path, bytes], bool]
    what: Callable[[Path], str]


def refuse_foreign(path: Path, head: bytes) -> None:
    """Refuse what is known, and is not read.

    Args:
        path: a file or folder.
        head: the file's first kilobyte.

    Raises:
        UserError: it is one of these; the line says what leads on.
    """
    for each in _FOLDERS if path.is_dir() else _FOREIGN:
        if each.is_it(path, head):
            raise UserError(f"{path}: {each.what(path)}")
    if path.is_dir():
        for file in files_in(path, ".npy", ".csv", ".tsv", ".h5ad"):
            if is_pointer(file):
                raise UserError(f"{file}: {_POINTER}")


_POINTER = "a Git LFS pointer in the place of the file; run git lfs pull in its repository, or download the file itself"


def is_pointer(path: Path) -> bool:
    """Tell what Git leaves where its large-file storage is not installed."""
    try:
        with path.open("rb") as file:
            return _is_lfs(path, file.read(64))
    except OSError:
        return False


def _is_lfs(path: Path, head: bytes) -> bool:
    return head.startswith(b"version https://git-lfs.github.com/spec/")


def _is_html(path: Path, head: bytes) -> bool:
    """Tell a web page, which a failed download leaves in the place of a file."""
    return head.lstrip(b"\xef\xbb\xbf \t\r\n").lower().startswith((b"<!doctype html", b"<html"))


def _is_torch(path: Path, head: bytes) -> bool:
    if path.suffix.lower() in (".pt", ".pth", ".ckpt"):
        return True
    return head.startswith(b"PK\x03\x04") and re.match(rb".{30}[^/]{1,80}/data\.pkl", head, re.DOTALL) is not None


def _is_pickle(path: Path, head: bytes) -> bool:
    named = path.suffix.lower() in (".pkl", ".pickle", ".p", ".joblib")
    return named or (len(head) > 1 and head[0] == 0x80 and 2 <= head[1] <= 5)


def _is_tar(path: Path, head: bytes) -> bool:
    return head[257:262] == b"ustar" or path.suffix.lower() == ".tar"


def _is_tfrecord(path: Path, head: bytes) -> bool:
    return ".tfrecord" in path.name.lower()


def _is_json(path: Path, head: bytes) -> bool:
    return path.suffix.lower() in (".json", ".jsonl", ".ndjson")


def _is_feather(path: Path, head: bytes) -> bool:
    return head.startswith(b"FEA1")


def _is_r(path: Path, head: bytes) -> bool:
    return path.suffix.lower() in (".rds", ".rda", ".rdata")


def _is_excel(path: Path, head: bytes) -> bool:
    return path.suffix.lower() in (".xls", ".xlsx")


def _is_packed(path: Path, head: bytes) -> bool:
    return head.startswith((b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"7z\xbc\xaf", b"Rar!"))


def _is_table(path: Path, head: bytes) -> bool:
    """Tell a single table, which has no mark of its own, by the file's name."""
    return path.suffix.lower() in (".csv", ".tsv") and bool(head) and b"\0" not in head


def _is_sparse_npz(path: Path, head: bytes) -> bool:
    return head.startswith(b"PK\x03\x04") and is_sparse_npz(path)


def _is_zarr(path: Path, head: bytes) -> bool:
    return any((path / name).exists() for name in (".zgroup", ".zattrs", "zarr.json"))


def _frame(read: str) -> Callable[[Path], str]:
    """What to do with a table that pandas reads."""

    def what(path: Path) -> str:
        return (
            "a single table; name the columns of each modality: import pandas; "
            f"t = pandas.{read}({path.name!r}); t[[COLUMNS]].to_csv('FOLDER/image.csv'), then text.csv; give FOLDER"
        )

    return what


def _array(path: Path) -> str:
    try:
        with path.open("rb") as file:
            is_objects = b"'|O" in file.read(256)
    except OSError:
        is_objects = False
    if is_objects:
        return (
            "a pickled Python object, and loading it could run any code; where you trust it: import numpy; "
            f"d = numpy.load({path.name!r}, allow_pickle=True).item(); {_SAVE}"
        )
    return "a single array; put one .npy file for each modality into a folder, and give the folder"


def _table(path: Path) -> str:
    """Of one wide table, whose columns may begin alike: ``img_0, img_1, txt_0, ...``."""
    said = "a single table; put one .csv file for each modality into a folder, and give the folder"
    try:
        with path.open(encoding="utf-8-sig", newline="") as lines:
            headings = next(csv.reader(lines), [])
    except (OSError, UnicodeDecodeError, csv.Error):
        return said
    stems = dict.fromkeys(
        found[1] for heading in headings if (found := re.fullmatch(r"(\w*?[A-Za-z])_?\d+", heading.strip()))
    )
    if not 2 <= len(stems) <= _SHOWN:
        return said
    rest = [heading.strip() for heading in headings if not re.fullmatch(r"(\w*?[A-Za-z])_?\d+", heading.strip())]
    more = "".join(f"; t[[{each!r}]].to_csv('FOLDER/labels.csv', index=False)" for each in rest[-1:])
    return (
        f"{said}: import pandas; t = pandas.read_csv({path.name!r}); [t.filter(regex='^' + m + '_?[0-9]').to_csv("
        f"f'FOLDER/{{m}}.csv', index=False) for m in {[*stems]}]{more[:200]}"
    )


_FOREIGN = (
    _Foreign(_is_lfs, lambda path: _POINTER),
    _Foreign(
        _is_html,
        lambda path: (
            "a web page in the place of data; download the file again, in a browser if the site asks for a click"
        ),
    ),
    _Foreign(
        _is_torch,
        lambda path: (
            "a file of PyTorch, which may hold any objects; save its tensors: import numpy, torch; "
            f"d = torch.load({path.name!r}, map_location='cpu', weights_only=True); {_SAVE}"
        ),
    ),
    _Foreign(
        _is_sparse_npz,
        lambda path: (
            "a sparse matrix of SciPy, one alone; put it into a folder with the other modalities, sparse .npz or .npy, "
            "and give the folder"
        ),
    ),
    _Foreign(is_npy, _array),
    _Foreign(
        _is_pickle,
        lambda path: (
            "a pickle, and loading it could run any code; where you trust it: import numpy, pickle; "
            f"d = pickle.load(open({path.name!r}, 'rb')); {_SAVE}"
        ),
    ),
    _Foreign(
        _is_tar,
        lambda path: (
            f"a tar archive, such as a shard of webdataset; unpack it, tar xf {path.name}: pictures with .txt beside "
            "them are data=folder data.raw=FOLDER, .npy files one a sample: numpy.stack them to one .npy a modality"
        ),
    ),
    _Foreign(
        _is_tfrecord,
        lambda path: (
            "TFRecords of TensorFlow; read each field into an array, and numpy.savez('x.npz', image=..., text=...): "
            "tensorflow.data.TFRecordDataset(FILE) with tensorflow.io.parse_single_example"
        ),
    ),
    _Foreign(_is_feather, _frame("read_feather")),
    _Foreign(_is_excel, _frame("read_excel")),
    _Foreign(
        _is_json,
        lambda path: (
            f"JSON; import numpy, pandas; t = pandas.read_json({path.name!r}, lines={path.suffix.lower() != '.json'}); "
            "numpy.savez('x.npz', **{c: numpy.stack(t[c]) for c in ['image', 'text']}), with its own columns"
        ),
    ),
    _Foreign(
        _is_r,
        lambda path: "a file of R; save each matrix there, write.csv(x, 'FOLDER/image.csv'), and give the folder",
    ),
    _Foreign(
        _is_packed, lambda path: f"a packed file; unpack it, and give what it holds: gunzip, bunzip2, unxz {path.name}"
    ),
    _Foreign(_is_table, _table),
)
_FOLDERS = (
    _Foreign(
        _is_zarr,
        lambda path: (
            "a Zarr store; of AnnData or MuData: anndata.read_zarr(FOLDER).write_h5ad('x.h5ad'), or "
            "mudata.read_zarr(FOLDER).write('x.h5mu')"
        ),
    ),
)
