from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from sklearn.cluster import KMeans
from sklearn.linear_model import LinearRegression, LogisticRegression

from cmc.data.datasets import synthetic
from cmc.errors import UserError

# what factors() takes for the defaults of load()
DEFAULTS: dict[str, Any] = {
    "sizes": [250] * 8,
    "n_modalities": 2,
    "shared": 16,
    "private": 16,
    "separation": 7.0,
    "seed": 0,
}

# load(n_samples=6, dims=(3, 2), n_clusters=2) on the machine where this was written (numpy 2.4, x86)
GOLDEN_LABELS = [1, 0, 1, 1, 0, 0]
GOLDEN = [[-0.6964, 0.5947], [0.963, 1.0383], [0.4303, 1.3226], [2.8772, 2.2981], [-1.3045, -0.2555], [0.7313, 0.2815]]


def k_means_accuracy(points: NDArray[Any], labels: NDArray[np.int64]) -> float:
    found = KMeans(8, n_init=10, random_state=0).fit_predict(points)
    table = np.zeros((8, 8))
    np.add.at(table, (found, labels), 1)
    return float(table[linear_sum_assignment(-table)].sum() / len(labels))


def explained(source: NDArray[Any], target: NDArray[Any]) -> float:
    """Held-out R^2 of a linear regression."""
    half = len(source) // 2
    return float(LinearRegression().fit(source[:half], target[:half]).score(source[half:], target[half:]))


def test_form() -> None:
    held = synthetic.load()
    assert held.dims == {"modality_0": 64, "modality_1": 48}
    assert held.n_samples == 2000
    assert held.classes == tuple("01234567")
    assert all(view.dtype == np.float32 for view in held.features.values())
    assert "synthetic" in held.source
    assert synthetic.load(30, dims=(1, 2, 3, 4), n_clusters=3).dims == {f"modality_{i}": i + 1 for i in range(4)}


def test_same_seed_same_data() -> None:
    settings: dict[str, Any] = {"n_samples": 50, "dims": (3, 2), "n_clusters": 3}
    first, again, other = (synthetic.load(**settings, seed=seed) for seed in (4, 4, 5))
    assert first.fingerprint() == again.fingerprint() != other.fingerprint()
    assert first.labels is not None
    assert other.labels is not None
    assert not np.array_equal(first.labels, other.labels)
    assert not np.array_equal(first.features["modality_0"], other.features["modality_0"])


def test_the_same_on_any_machine() -> None:
    held = synthetic.load(n_samples=6, dims=(3, 2), n_clusters=2)
    assert held.labels is not None
    assert held.labels.tolist() == GOLDEN_LABELS
    np.testing.assert_array_equal(held.features["modality_1"], np.array(GOLDEN, dtype=np.float32))


def test_rounded_to_four_decimals() -> None:
    for view in synthetic.load(n_samples=50).features.values():
        np.testing.assert_array_equal(view, np.round(view.astype(np.float64), 4).astype(np.float32))


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"n_samples": 2000}, [250] * 8),
        ({"n_samples": 10, "n_clusters": 3}, [4, 3, 3]),
        ({"n_samples": 8}, [1] * 8),
        ({"n_samples": 9, "imbalance": 50.0}, [2] + [1] * 7),
        ({"n_samples": 100, "imbalance": 1e6}, [93] + [1] * 7),
    ],
)
def test_cluster_sizes(settings: dict[str, Any], expected: list[int]) -> None:
    labels = synthetic.load(**settings).labels
    assert labels is not None
    assert np.bincount(labels).tolist() == expected


def test_imbalance_is_the_logarithm_of_the_ratio() -> None:
    sizes = synthetic.cluster_sizes(100_000, 5, np.log(10))
    assert sizes.sum() == 100_000
    assert sizes[0] / sizes[-1] == pytest.approx(10, rel=0.01)
    np.testing.assert_allclose(sizes[1:] / sizes[:-1], 10**-0.25, rtol=0.01)


def test_order_says_nothing() -> None:
    labels = synthetic.load().labels
    assert labels is not None
    assert abs(np.corrcoef(labels, np.arange(2000))[0, 1]) < 0.1


def test_factors_do_not_depend_on_what_is_observed() -> None:
    known = synthetic.factors(**DEFAULTS)
    for held in (synthetic.load(), synthetic.load(dims=(5, 6), noise=0.0)):
        assert held.labels is not None
        np.testing.assert_array_equal(held.labels, known.labels)


def test_factors_are_as_described() -> None:
    known = synthetic.factors(**{**DEFAULTS, "sizes": [400] * 50})
    centres = np.stack([known.shared[known.labels == k].mean(0) for k in range(50)])
    within = known.shared - centres[known.labels]
    assert within.std() == pytest.approx(1, abs=0.02)
    distances = np.linalg.norm(centres[:, None] - centres, axis=2)[~np.eye(50, dtype=bool)]
    assert np.sqrt((distances**2).mean()) == pytest.approx(7, rel=0.1)
    assert [own.std() for own in known.private] == pytest.approx([2, 2], rel=0.02)


def test_private_factors_say_nothing_of_the_rest() -> None:
    known = synthetic.factors(**DEFAULTS)
    first, second = known.private
    assert explained(first, second) < 0
    assert explained(first, known.shared) < 0
    one_hot = np.eye(8)[known.labels]
    assert explained(first, one_hot) < 0
    assert explained(known.shared, one_hot) > 0.5


def test_modalities_hold_the_shared_and_their_own_private_factors() -> None:
    held, known = synthetic.load(), synthetic.factors(**DEFAULTS)
    first, second = held.features.values()
    assert explained(first, known.shared) > 0.5
    assert explained(second, known.shared) > 0.5
    assert explained(first, known.private[0]) > 0.5
    assert explained(first, known.private[1]) < 0
    assert explained(second, known.private[0]) < 0


def test_cca_finds_what_is_shared() -> None:
    held, known = synthetic.load(), synthetic.factors(**DEFAULTS)
    left, right = (np.linalg.svd(view - view.mean(0), full_matrices=False)[0] for view in held.features.values())
    turn_left, correlations, turn_right = np.linalg.svd(left.T @ right)
    canonical = left @ turn_left[:, :8] + right @ turn_right[:8].T
    assert correlations[0] > 0.8
    model = LogisticRegression(max_iter=1000).fit(canonical[:1000] * 30, known.labels[:1000])
    assert model.score(canonical[1000:] * 30, known.labels[1000:]) > 0.85
    assert explained(known.shared, canonical) > 0.7
    assert explained(known.private[0], canonical) < 0.2


def test_k_means_is_imperfect_but_the_clusters_are_there() -> None:
    held, known = synthetic.load(), synthetic.factors(**DEFAULTS)
    assert 0.6 < k_means_accuracy(np.hstack(list(held.features.values())), known.labels) < 0.8
    assert k_means_accuracy(held.features["modality_0"], known.labels) < 0.5
    assert k_means_accuracy(known.shared, known.labels) > 0.97


def test_noise_is_what_it_says() -> None:
    clean, noisy = (synthetic.load(noise=noise).features["modality_0"] for noise in (0.0, 0.5))
    assert clean.std() == pytest.approx(1, rel=1e-3)
    assert (noisy - clean).std() == pytest.approx(0.5, rel=0.01)


@pytest.mark.parametrize(
    ("settings", "parts"),
    [
        ({"n_samples": 1}, ["data.n_samples=1", "from 2"]),
        ({"n_samples": 20.5}, ["data.n_samples=20.5", "whole"]),
        ({"n_samples": True}, ["data.n_samples=True", "whole"]),
        ({"dims": (5,)}, ["data.dims=(5,)", "at least 2"]),
        ({"dims": 5}, ["data.dims=5", "at least 2"]),
        ({"dims": "64"}, ["data.dims=64", "at least 2"]),
        ({"dims": (5, 0)}, ["data.dims[1]=0", "from 1"]),
        ({"dims": (5, "x")}, ["data.dims[1]=x", "whole"]),
        ({"n_clusters": 1}, ["data.n_clusters=1", "from 2"]),
        ({"n_clusters": 51}, ["data.n_clusters=51", "at most data.n_samples, which is 50"]),
        ({"n_clusters": None}, ["data.n_clusters=None", "whole"]),
        ({"shared": 0}, ["data.shared=0", "from 1"]),
        ({"private": -1}, ["data.private=-1", "from 0"]),
        ({"noise": -0.5}, ["data.noise=-0.5", "from 0"]),
        ({"noise": float("nan")}, ["data.noise=nan", "finite"]),
        ({"separation": float("inf")}, ["data.separation=inf", "finite"]),
        ({"separation": "far"}, ["data.separation=far", "finite number"]),
        ({"imbalance": -1}, ["data.imbalance=-1", "from 0"]),
        ({"seed": -1}, ["data.generator_seed=-1", "from 0"]),
        ({"seed": None}, ["data.generator_seed=None", "whole"]),
    ],
)
def test_argument_out_of_range(settings: dict[str, Any], parts: list[str]) -> None:
    with pytest.raises(UserError) as caught:
        synthetic.load(**{"n_samples": 50, **settings})
    assert all(part in str(caught.value) for part in parts)
    assert "\n" not in str(caught.value)


def test_edges_of_the_ranges() -> None:
    held = synthetic.load(2, (1, 1), n_clusters=2, shared=1, private=0, noise=0, separation=0, imbalance=0)
    assert held.n_classes == 2
