"""Files that hold nothing to read, something else, or not all of it: one line for each."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.io import savemat

from tests.data.formats.common import CODES, IMG, RNG, TXT, cell, refusal

# nothing to read


def test_missing(tmp_path: Path) -> None:
    assert "there is no such file or folder" in refusal(tmp_path / "none.npz")


def test_no_access(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    np.savez(tmp_path / "v.npz", img=IMG, txt=TXT)

    def denied(*args: Any, **kwargs: Any) -> Any:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", denied)
    assert "cannot be opened (Permission denied)" in refusal(tmp_path / "v.npz")


@pytest.mark.parametrize("name", ["v.npz", "v.mat", "v.h5", "v.csv", "v"])
def test_empty_file(tmp_path: Path, name: str) -> None:
    (tmp_path / name).touch()
    assert "the file is empty" in refusal(tmp_path / name)


@pytest.mark.parametrize("name", ["v.mat", "v.npz", "v.h5", "v.csv"])
@pytest.mark.parametrize("page", ["<!DOCTYPE html><html>", "\ufeff\r\n <HTML lang=en>"])
def test_web_page(tmp_path: Path, name: str, page: str) -> None:
    (tmp_path / name).write_text(page + "<body>Please log in</body>")
    message = refusal(tmp_path / name)
    assert "web page" in message
    assert "download" in message


@pytest.mark.parametrize("name", ["v.npz", "v.h5"])
def test_unknown_form(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("1,2\n3,4\n")
    message = refusal(tmp_path / name)
    assert "no form that is read" in message
    assert all(form in message for form in (".npz", ".mat", "folder of .npy"))


@pytest.mark.usefixtures("apart")
def test_garbage_called_mat(tmp_path: Path) -> None:
    (tmp_path / "v.mat").write_bytes(RNG.bytes(3000))
    assert "cannot be read as a MATLAB file" in refusal(tmp_path / "v.mat")


def test_no_matrix(tmp_path: Path) -> None:
    np.savez(tmp_path / "v.npz", a=np.ones(3), b=np.ones((3, 2, 2)), c=np.full((3, 2), "x"))
    message = refusal(tmp_path / "v.npz")
    assert "no 2-d array" in message
    assert "'b' 3 x 2 x 2" in message
    np.savez(tmp_path / "w.npz")
    assert "no 2-d array in it (it holds nothing)" in refusal(tmp_path / "w.npz")


def test_one_modality(tmp_path: Path) -> None:
    np.savez(tmp_path / "v.npz", img=IMG, pixels=np.ones((11, 2, 2)), labels=CODES)
    message = refusal(tmp_path / "v.npz")
    assert "number of modalities is 1 ('img')" in message
    assert "not used: 'pixels'" in message
    savemat(tmp_path / "x.mat", {"X": cell(IMG), "Y": CODES})
    assert "number of modalities is 1 ('X1')" in refusal(tmp_path / "x.mat")


def test_too_large_for_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*args: Any, **kwargs: Any) -> Any:
        raise MemoryError

    np.savez(tmp_path / "v.npz", img=IMG, txt=TXT)
    monkeypatch.setattr(np, "load", full)
    assert "or save each modality as .npy, and give their folder, which is mapped" in refusal(tmp_path / "v.npz")


# cut short: no library's error may get through, and nothing may be taken for the whole


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("compressed", [False, True])
def test_truncated_npz(tmp_path: Path, compressed: bool) -> None:
    save = np.savez_compressed if compressed else np.savez
    save(tmp_path / "whole.npz", view_0=IMG, view_1=TXT, labels=CODES)
    whole = (tmp_path / "whole.npz").read_bytes()
    for length in [*range(1, len(whole), 5), len(whole) - 1]:
        (tmp_path / "cut.npz").write_bytes(whole[:length])
        assert "cut short" in refusal(tmp_path / "cut.npz")


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("compressed", [False, True])
def test_truncated_mat(tmp_path: Path, compressed: bool) -> None:
    savemat(tmp_path / "whole.mat", {"Y": CODES, "X": cell(IMG, TXT)}, do_compression=compressed)
    whole = (tmp_path / "whole.mat").read_bytes()
    savemat(tmp_path / "labels.mat", {"Y": CODES}, do_compression=compressed)
    between = {128, len((tmp_path / "labels.mat").read_bytes())}  # a cut between variables leaves a sound file
    for length in [*between, *range(1, len(whole), 5), len(whole) - 1]:
        (tmp_path / "cut.mat").write_bytes(whole[:length])
        assert ("no 2-d array" if length in between else "cut short") in refusal(tmp_path / "cut.mat")


@pytest.mark.filterwarnings("error")
def test_npz_with_a_damaged_member(tmp_path: Path) -> None:
    np.savez(tmp_path / "v.npz", view_0=IMG, view_1=TXT)
    content = (tmp_path / "v.npz").read_bytes()
    at = content.index(IMG.tobytes()) + 100
    (tmp_path / "v.npz").write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
    message = refusal(tmp_path / "v.npz")
    assert "array 'view_0': cannot be read as a NumPy array; cut short or damaged?" in message
