from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hydra.errors import InstantiationException
from hydra.utils import instantiate

from cmc.config.schema import check
from cmc.data.datasets import files
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


@pytest.fixture
def doubtful(tmp_path: Path) -> Path:
    square = np.arange(16.0).reshape(4, 4)
    np.savez(tmp_path / "own.npz", img=square, txt=square + 1, more=square, kind=[0, 1, 0, 1], gt=[1, 1, 0, 0])
    return tmp_path / "own.npz"


def test_what_is_doubtful_is_told_on_the_command_line(composed: Any, doubtful: Path) -> None:
    told = ["data.features=[txt,img]", "data.labels=kind", "data.orientation=columns"]
    config = composed("data=files", f"data.root={doubtful}", *told)
    check(config, composed("data=files"))
    data = instantiate(config.data)
    held = data.read()
    assert list(held.features) == ["txt", "img"]
    np.testing.assert_array_equal(held.features["img"], np.arange(16.0).reshape(4, 4).T)
    np.testing.assert_array_equal(held.labels, [0, 1, 0, 1])


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("data.features=img", "data.features: 'img' given; it must be a list of names, such as [img,txt], or null"),
        ("data.features=[]", "data.features: [] given; it must be a list of names"),
        ("data.features=[[img]]", "it must be a list of names"),
        ("data.labels=[kind]", "data.labels: ['kind'] given; it must be the name of an array"),
        ("data.orientation=row", "data.orientation: 'row' given; it must be one of auto, rows, columns"),
    ],
)
def test_options_of_another_type(composed: Any, override: str, says: str) -> None:
    config = composed("data=files", override)
    check(config, composed("data=files"))
    with pytest.raises(InstantiationException) as caught:
        instantiate(config.data)
    assert says in str(caught.value.__cause__)
    assert isinstance(caught.value.__cause__, UserError)
