"""Labels hidden among features are found, in each of ten ways; features that only look like labels raise no alarm."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cmc.data.datasets.files import load
from cmc.data.datasets.synthetic import Synthetic
from cmc.data.giveaways import doubts
from cmc.data.modalities import Modalities
from cmc.data.module import DataModule

N, K = 240, 4
REAL = os.environ.get("CMC_REAL_DATA")


def _hidden(rng: np.random.Generator, x: Any, y: Any) -> dict[str, Any]:
    hot, order = np.eye(K)[y], np.argsort(y, kind="stable")
    rank, mix = np.empty(len(y)), rng.normal(size=len(y))
    rank[order] = np.arange(len(y))
    return {
        "a code": np.insert(x, 3, y, axis=1),
        "a code by other numbers": np.insert(x, 0, np.array([9, -2.5, 40, 3.25])[y], axis=1),
        "a code with noise": np.column_stack([x, y + rng.uniform(-0.005, 0.005, len(y))]),
        "one-hot": np.hstack([x, hot]),
        "one-hot, standardised and scattered": np.hstack([(hot - hot.mean(0)) / hot.std(0), x])[:, rng.permutation(10)],
        "one-hot, each row scaled": np.hstack([x, hot * rng.uniform(1, 2, (len(y), 1))]),
        "bits": np.column_stack([x, y & 1, y >> 1]),
        "groups within classes": np.column_stack([x, 3 * y + rng.integers(0, 3, len(y))]),
        "rows counted class by class": np.column_stack([rank + 5, x]),
        "two columns whose sum is the code": np.column_stack([mix, x, y - mix]),
        "centres of the classes": np.stack([x[y == k].mean(0) for k in range(K)])[y],
        "turned about with the features": np.hstack([x, hot]) @ np.linalg.qr(rng.normal(size=(10, 10)))[0],
    }


def made(seed: int) -> tuple[np.random.Generator, Any, Any]:
    rng = np.random.default_rng(seed)
    y = rng.permutation(np.arange(N) % K)
    return rng, rng.normal(size=(N, 6)) + 0.5 * rng.normal(size=(K, 6))[y], y


@pytest.mark.parametrize("way", [*_hidden(*made(0))])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_a_hidden_label_is_found(way: str, dtype: Any) -> None:
    for seed in range(3):
        rng, x, y = made(seed)
        found = doubts({"image": x, "text": _hidden(rng, x, y)[way].astype(dtype)}, y)
        assert len(found) == 1, way
        assert found[0].startswith("text: the labels can be read off")


def test_without_labels_there_is_nothing_to_give_away() -> None:
    _, x, y = made(0)
    assert doubts({"image": np.column_stack([x, y])}, None) == []
    some = np.where(np.arange(N) < N // 2, y, -1)
    assert doubts({"image": np.column_stack([x, y])}, some)


def words(rng: np.random.Generator, y: Any) -> Any:
    return rng.poisson(rng.dirichlet(np.full(1000, 0.05), y.max() + 1)[y] * 30)


def tags(rng: np.random.Generator, y: Any) -> Any:
    return rng.random((len(y), 1000)) < np.minimum(rng.dirichlet(np.full(1000, 0.05), y.max() + 1)[y] * 8, 0.6)


def one_hot(rng: np.random.Generator, y: Any) -> Any:
    return np.eye(7)[rng.integers(0, 7, len(y))]


def whole(rng: np.random.Generator, y: Any) -> Any:
    return np.rint(rng.normal(2 * y[:, None], 1, (len(y), 20)))


def apart(rng: np.random.Generator, y: Any) -> Any:
    return np.eye(y.max() + 1)[y] @ rng.normal(size=(y.max() + 1, 8)) * 2 + 0.3 * rng.normal(size=(len(y), 8))


@pytest.mark.parametrize("make", [words, tags, one_hot, whole, apart])
@pytest.mark.parametrize(("n", "k"), [(20, 2), (60, 3), (2000, 8)])
def test_no_false_alarm(make: Callable[..., Any], n: int, k: int) -> None:
    for seed in range(5 if n < 1000 else 2):
        rng = np.random.default_rng(seed)
        y = rng.permutation(np.arange(n) % k)
        assert doubts({"x": make(rng, y)}, y) == []


def test_no_false_alarm_on_synthetic_data() -> None:
    for seed in range(20):
        data = Synthetic(n_samples=600, dims=[64, 48], n_clusters=8, generator_seed=seed).read()
        assert doubts(data.features, data.labels) == []


@pytest.mark.skipif(REAL is None, reason="CMC_REAL_DATA is not set")
@pytest.mark.parametrize("name", ["event.npz", "handwritten.mat", "mnist_usps.mat", "youcook"])
def test_no_false_alarm_on_real_data(name: str) -> None:
    data = load(Path(str(REAL)) / name)
    assert doubts(data.features, data.labels) == []


def test_a_doubt_is_logged_and_kept(caplog: pytest.LogCaptureFixture) -> None:
    _, x, y = made(0)

    class Given(DataModule):
        def read(self) -> Modalities:
            return Modalities({"image": x, "text": np.column_stack([x, 7 - y])}, y)

    data = Given()
    data.load()
    assert len(data.doubts) == 1
    assert "text: the labels can be read off column 7 exactly" in caplog.text
