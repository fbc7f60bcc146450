"""Scalings against scikit-learn, in one pass over blocks."""

import numpy as np
import pytest
import torch
from sklearn import preprocessing

from cmc.data import scaling
from cmc.data.scaling import Scaler

RNG = np.random.default_rng(0)
X = RNG.normal(3, 5, size=(101, 4))


def scaled(x, kind, rows=None):
    scaler = Scaler().fit({"a": x}, rows, kind)
    return scaler("a", torch.from_numpy(x)).numpy()


@pytest.mark.parametrize("block", [7, 1000])
@pytest.mark.parametrize(
    ("kind", "reference"),
    [
        ("minmax", preprocessing.minmax_scale),
        ("standard", preprocessing.scale),
        ("l2", preprocessing.normalize),
        ("none", np.asarray),
        ("auto", preprocessing.minmax_scale),
    ],
)
def test_equals_scikit_learn(monkeypatch, block, kind, reference):
    monkeypatch.setattr(scaling, "_BLOCK", block)
    np.testing.assert_allclose(scaled(X, kind), reference(X), rtol=1e-9, atol=1e-9)


def test_auto_leaves_the_unit_interval_alone_and_says_so():
    inside = RNG.random((10, 3)) * 0.5
    scaler = Scaler().fit({"inside": inside, "outside": inside + 1}, None, "auto")
    assert scaler.kinds == {"inside": "none", "outside": "minmax"}
    assert np.array_equal(scaler("inside", torch.from_numpy(inside)).numpy(), inside)


@pytest.mark.parametrize("kind", ["minmax", "standard", "l2"])
@pytest.mark.parametrize("constant", [0.0, 7.0, 1e12])
def test_constant_columns_and_zero_rows_stay_finite(kind, constant):
    x = X.copy()
    x[:, 1] = constant
    x[0] = 0 if kind == "l2" else x[0]
    result = scaled(x, kind)
    assert np.isfinite(result).all()
    if kind != "l2":
        np.testing.assert_allclose(result[1:, 1], 0, atol=1e-6)


def test_statistics_come_from_the_chosen_rows_alone():
    rows = np.arange(50)
    np.testing.assert_allclose(scaled(X, "minmax", rows)[:50], preprocessing.minmax_scale(X[:50]), rtol=1e-9, atol=1e-9)


def test_a_large_offset_keeps_its_digits(monkeypatch):
    monkeypatch.setattr(scaling, "_BLOCK", 10)
    x = X + 1e5
    np.testing.assert_allclose(scaled(x, "standard").std(0), 1, rtol=1e-6)


def test_state_goes_through_a_checkpoint(tmp_path):
    scaler = Scaler().fit({"a": X}, None, "standard")
    torch.save(scaler.state_dict(), tmp_path / "state.pt")
    other = Scaler()
    other.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    x = torch.randn(5, 4)
    assert torch.equal(other("a", x), scaler("a", x))
