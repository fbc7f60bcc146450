"""Valid folders of the containers that came last: masks, sparse matrices, safetensors, Parquet and Arrow."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse

from tests.fuzz.folders import CODES, IMG, NAMES, TXT, N
from tests.fuzz.folders import npy_bytes as _npy


def masked(folder: Path) -> None:
    (folder / "x.npz").write_bytes(in_masked(mask_seeds()[0]))


def mask_seeds() -> list[bytes]:
    mask = np.ones((N, 2), np.uint8)
    mask[2, 0] = mask[4, 1] = 0
    return [_npy(np.ones((N, 2))), _npy(mask), _npy(mask.T), _npy(mask == 0), _npy(mask[:, 0])]


def in_masked(data: bytes) -> bytes:
    """A mask, beside two modalities with a row of zeros each."""
    with zipfile.ZipFile(buffer := io.BytesIO(), "w") as archive:
        for name, array, row in (("img", IMG, 2), ("txt", TXT, 4)):
            archive.writestr(f"{name}.npy", _npy(np.where(np.arange(N)[:, None] == row, 0, array)))
        archive.writestr("mask.npy", data)
    return buffer.getvalue()


def sparse_npz(folder: Path) -> None:
    (folder / "img.npz").write_bytes(sparse_seeds()[0])
    np.save(folder / "txt.npy", TXT)


def sparse_seeds() -> list[bytes]:
    return [_sparse(kind) for kind in (sparse.csr_array(IMG), sparse.csc_array(IMG), sparse.coo_array(TXT))]


def _sparse(matrix: Any) -> bytes:
    sparse.save_npz(buffer := io.BytesIO(), matrix, compressed=False)
    return buffer.getvalue()


def in_sparse(data: bytes) -> bytes:
    """The places of a matrix's numbers, among what else is kept of it."""
    whole = sparse.csr_array(IMG)
    parts = {"format": np.array(b"csr"), "shape": np.array(IMG.shape), "data": whole.data, "indptr": whole.indptr}
    with zipfile.ZipFile(buffer := io.BytesIO(), "w") as archive:
        for name, array in parts.items():
            archive.writestr(f"{name}.npy", _npy(array))
        archive.writestr("indices.npy", data)
    return buffer.getvalue()


def sparse_part_seeds() -> list[bytes]:
    return [_npy(sparse.csr_array(IMG).indices), _npy(sparse.csr_array(IMG).indices.astype(np.int64))]


def safetensors(folder: Path) -> None:
    (folder / "x.safetensors").write_bytes(safetensors_seeds()[0])


def safetensors_seeds() -> list[bytes]:
    return [_safetensors("F32", IMG), _safetensors("BF16", IMG.astype(np.float16)), _safetensors("I64", CODES[:, None])]


def _safetensors(kind: str, array: Any) -> bytes:
    parts = {"img": (kind, array), "txt": ("U8", TXT), "labels": ("I64", CODES)}
    said: dict[str, Any] = {"__metadata__": {"format": "np"}}
    data = b""
    for name, (kind, each) in parts.items():
        place = [len(data), len(data) + each.nbytes]
        said[name] = {"dtype": kind, "shape": each.shape, "data_offsets": place}
        data += each.tobytes()
    heading = json.dumps(said).encode()
    return len(heading).to_bytes(8, "little") + heading + data


def parquet(folder: Path) -> None:
    (folder / "x.parquet").write_bytes(parquet_seeds()[0])


def parquet_seeds() -> list[bytes]:
    """Lists and numbered columns, with gaps, text by number and as it is, packed and not."""
    from pyarrow import parquet

    made = []
    for table, how in [(each, how) for each in _tables() for how in ("none", "snappy")]:
        parquet.write_table(table, buffer := io.BytesIO(), compression=how, row_group_size=4)
        made.append(buffer.getvalue())
    return made


def arrow(folder: Path) -> None:
    (folder / "x.arrow").write_bytes(arrow_seeds()[0])


def arrow_seeds() -> list[bytes]:
    """Files and streams."""
    import pyarrow

    made = []
    for table, new in [(each, new) for each in _tables() for new in (pyarrow.ipc.new_file, pyarrow.ipc.new_stream)]:
        with new(buffer := io.BytesIO(), table.schema) as sink:
            sink.write_table(table, max_chunksize=4)
        made.append(buffer.getvalue())
    return made


def _tables() -> list[Any]:
    import pyarrow

    kinds = pyarrow.array(NAMES.tolist())
    numbered = {f"img_{i}": IMG[:, i] for i in range(2)} | {"txt_0": TXT[:, 0], "txt_1": TXT[:, 1]}
    return [
        pyarrow.table({"img": IMG.tolist(), "txt": TXT.tolist(), "label": kinds.dictionary_encode()}),
        pyarrow.table({"img": IMG.tolist(), "txt": [None, *TXT[1:].tolist()]}),
        pyarrow.table(
            {**numbered, "id": [f"s{i}" for i in range(N)], "kind": kinds, "n": [None] * N, "at": [{"x": 1}] * N}
        ),
    ]
