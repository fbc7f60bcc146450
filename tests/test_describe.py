"""What `cmc.describe` tells of data, against counts by NumPy."""

import re

import numpy as np
import pytest
from sklearn.datasets import load_digits

from cmc import describe
from cmc.data.description import columns


def cells(text, name):
    """The cells of a modality's row of the printed table."""
    (row,) = (line for line in text.splitlines() if re.match(rf"│ {name} ", line))
    return [cell.strip() for cell in row.strip("│").split("│")]


def test_it_tells_of_digits(commanded, monkeypatch):
    monkeypatch.setenv("COLUMNS", "160")
    status, text, error = commanded(describe, "data=digits")
    assert status == 0, error
    left = load_digits().images[:, :, :4].reshape(-1, 32)
    constant, repeated = int((left.min(0) == left.max(0)).sum()), len(left) - len(np.unique(left, axis=0))
    assert cells(text, "left") == [
        "left",
        "32",
        "minmax",
        "0",
        "16",
        f"{(left == 0).mean():.0%}",
        str(constant),
        str(repeated),
    ]
    assert re.search(r"left and right share: held-out canonical correlations 0\.\d\d .* \(chance: 0\.\d\d\)", text)
    assert f"10 classes: 0: {(load_digits().target == 0).sum()}, 1: " in text


def test_without_labels_it_says_what_a_run_needs(commanded, tmp_path):
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "x.npz", a=rng.normal(size=(50, 4)), b=rng.normal(size=(50, 3)))
    status, text, error = commanded(describe, "data=files", "data.root=x.npz")
    assert status == 0, error
    assert "a and b share nothing linear that carries over to other samples" in text
    assert "no labels: a run needs data.n_clusters" in text
    assert [path.name for path in tmp_path.iterdir()] == ["x.npz"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["data=files", "data.root=none.npz"], "none.npz: "),
        (["data=digits", "data.rot=1"], "data.rot: no such key"),
        (["data=digts"], "data=digts: no such data"),
        ([], "You must specify 'data'"),
    ],
)
def test_mistakes_are_one_line(commanded, words, message):
    status, text, error = commanded(describe, *words)
    assert (status, text) == (2, "")
    assert message in error


def test_columns_are_counted_over_blocks():
    rng = np.random.default_rng(0)
    x = rng.integers(-1, 2, size=(20_000, 4)).astype(np.float32)
    x[:, 2] = 7
    x[5, :2] = -0.0
    found = columns(x)
    assert found[:3] == (4, -1, 7)
    assert found.zeros == pytest.approx((x == 0).mean())
    assert (found.constant, found.repeated) == (1, len(x) - len(np.unique(x + 0.0, axis=0)))
