"""Safetensors, as the library that defines the format writes them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from cmc.data import formats
from tests.data.formats.common import CODES, IMG, TXT, check, refusal

torch_files = pytest.importorskip("safetensors.torch")
PICTURE = torch.from_numpy(IMG)


def save(path: Path, **tensors: Any) -> Path:
    torch_files.save_file({name: torch.as_tensor(value) for name, value in tensors.items()}, path)
    return path


@pytest.mark.parametrize("name", ["x.safetensors", "x.bin"])
def test_tensors_are_modalities_and_mapped(tmp_path: Path, name: str) -> None:
    held = check(save(tmp_path / name, img=IMG, txt=TXT, labels=CODES), ["img", "txt"])
    assert all(isinstance(array, np.memmap) for array in held.features.values())


def test_half_precision(tmp_path: Path) -> None:
    halved = {"a": PICTURE.half(), "b": PICTURE.bfloat16()}
    held = formats.read(save(tmp_path / "x.safetensors", **halved))
    assert {name: array.dtype.name for name, array in held.features.items()} == {"a": "float16", "b": "float32"}
    for name, tensor in halved.items():
        np.testing.assert_array_equal(held.features[name], tensor.double().numpy())


def test_a_tensor_that_lies_crooked_is_read(tmp_path: Path) -> None:
    """Behind 3 bytes nothing of eight lies where the processor wants it."""
    head = {"flags": ("BOOL", [3], 0, 3), "img": ("F64", [12, 5], 3, 483), "txt": ("U8", [12, 4], 483, 531)}
    raw(tmp_path / "x.safetensors", head, bytes(3) + IMG.tobytes() + TXT.tobytes())
    check(tmp_path / "x.safetensors", ["img", "txt"], labelled=False)


def test_a_type_that_numpy_has_not_is_not_used(tmp_path: Path) -> None:
    path = save(tmp_path / "x.safetensors", img=IMG, txt=TXT, low=PICTURE.to(torch.float8_e5m2))
    assert "not used: 'low'" in check(path, ["img", "txt"], labelled=False).source


def raw(path: Path, head: dict[str, tuple[str, list[Any], int, int]], data: bytes) -> Path:
    said = {name: {"dtype": d, "shape": s, "data_offsets": [a, b]} for name, (d, s, a, b) in head.items()}
    heading = json.dumps(said).encode()
    path.write_bytes(len(heading).to_bytes(8, "little") + heading + data)
    return path


@pytest.mark.parametrize(
    ("kind", "shape", "end"),
    [("F32", [2, 2], 12), ("F32", [2, -2], 16), ("F32", [2, 2.0], 16), ("F32", [2, 2], 16), ("F32", [2**62, 4], 16)],
)
def test_places_that_do_not_fit(tmp_path: Path, kind: str, shape: list[Any], end: int) -> None:
    path = raw(tmp_path / "x.safetensors", {"img": (kind, shape, 0, end)}, bytes(15))
    assert "cannot be read as safetensors" in refusal(path)


@pytest.mark.parametrize("cut", [4, 40, 200, 600])
def test_a_file_that_is_cut_short(tmp_path: Path, cut: int) -> None:
    path = save(tmp_path / "x.safetensors", img=IMG, txt=TXT)
    path.write_bytes(path.read_bytes()[:cut])
    assert "cannot be read as safetensors" in refusal(path)


def test_a_heading_of_any_length_is_refused_unread(tmp_path: Path) -> None:
    (tmp_path / "x.safetensors").write_bytes((2**60).to_bytes(8, "little") + b"{}")
    assert "a heading of 1152921504606846976 bytes" in refusal(tmp_path / "x.safetensors")
