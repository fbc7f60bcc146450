from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cmc.data import files
from cmc.errors import UserError


def test_reads_a_file_by_path_or_text(tmp_path: Path) -> None:
    np.savez(tmp_path / "own.npz", img=np.ones((4, 3)), txt=np.ones((4, 2)), labels=[0, 1, 0, 1])
    for root in (tmp_path / "own.npz", str(tmp_path / "own.npz")):
        held = files.load(root)
        assert held.dims == {"img": 3, "txt": 2}
        assert held.source == str(tmp_path / "own.npz")


def test_knows_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    np.savez(tmp_path / "own.npz", img=np.ones((4, 3)), txt=np.ones((4, 2)))
    assert files.load("~/own.npz").n_samples == 4


@pytest.mark.parametrize("root", [None, ""])
def test_no_root(root: str | None) -> None:
    with pytest.raises(UserError, match=r"data.root is not given: .*\.npz.*\.mat.*\.npy"):
        files.load(root)


def test_nothing_there(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"nowhere\.mat: there is no such file or folder"):
        files.load(tmp_path / "nowhere.mat")
