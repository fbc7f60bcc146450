"""What modalities share, against data of known correlations, scikit-learn's CCA, and data that share nothing."""

import logging

import numpy as np
import pytest
import torch
from sklearn.cross_decomposition import CCA

from cmc.data.datasets.synthetic import Synthetic
from cmc.data.sharing import Shared, shared, tell
from cmc.functional.canonical import held_out_correlations


def correlated(n, correlations, widths, seed=0):
    """Rows whose canonical correlations are known, turned and stretched at random."""
    rng = np.random.default_rng(seed)
    k = len(correlations)
    common, rows = rng.normal(size=(n, k)), []
    for d in widths:
        own = rng.normal(size=(n, d))
        share = np.sqrt(correlations)
        own[:, :k] = share * common + np.sqrt(1 - share**2) * own[:, :k]
        rows.append(torch.from_numpy(own @ rng.normal(size=(d, d))))
    return rows


def test_they_are_those_that_the_data_were_made_with():
    a, b, c = correlated(20_000, np.array([0.9, 0.6, 0.3]), (8, 5, 6))
    found = held_out_correlations([a, b, c])
    assert list(found) == [(0, 1), (0, 2), (1, 2)]
    for held_out, by_chance in found.values():
        assert held_out[:3].tolist() == pytest.approx([0.9, 0.6, 0.3], abs=0.03)
        assert held_out[3:].abs().max() < 0.05
        assert 0 < by_chance < 0.06


def test_they_are_those_of_scikit_learn_fitted_to_the_same_half():
    a, b = correlated(400, np.array([0.8, 0.5]), (5, 4))
    (held_out, _) = held_out_correlations([a, b])[0, 1]
    order = torch.randperm(400, generator=torch.Generator().manual_seed(0))
    x, y = a[order].numpy(), b[order].numpy()
    model = CCA(n_components=2, max_iter=5000, tol=1e-12).fit(x[:200], y[:200])
    first, second = model.transform(x[200:], y[200:])
    expected = [np.corrcoef(first[:, i], second[:, i])[0, 1] for i in range(2)]
    assert held_out[:2].tolist() == pytest.approx(expected, abs=1e-4)


def test_more_columns_than_samples_do_not_make_up_correlations():
    rng = np.random.default_rng(0)
    (held_out, by_chance) = held_out_correlations([torch.from_numpy(rng.normal(size=(100, 300))) for _ in range(2)])[
        0, 1
    ]
    assert held_out.abs().max() < 1.5 * by_chance


def test_a_constant_modality_shares_nothing():
    a, _ = correlated(100, np.array([0.8]), (5, 4))
    (pair,) = shared({"a": a, "b": torch.ones(100, 3)})
    assert (pair.held_out, pair.is_something) == ([0.0], False)


def test_of_few_samples_nothing_is_told():
    a, b = correlated(39, np.array([0.9]), (3, 3))
    assert shared({"a": a, "b": b}) == []


def test_pairs_that_share_nothing_are_warned_of_and_many_are_summed_up(caplog):
    a, b = correlated(1000, np.array([0.9]), (4, 4))
    with caplog.at_level(logging.INFO):
        tell(shared({"image": a, "text": b, "noise": b.flip(0)}))
    said = [(record.levelname, record.getMessage()) for record in caplog.records]
    assert [level for level, _ in said] == ["INFO", "WARNING", "WARNING"]
    assert said[0][1].startswith("data: image and text share: held-out canonical correlations 0.89 ")
    assert said[1][1].startswith("data: image and noise share nothing linear that carries over to other samples")
    caplog.clear()
    with caplog.at_level(logging.INFO):
        tell([Shared(("a", f"b{i}"), [0.5 + i / 10], 0.1) for i in range(4)])
    assert [record.getMessage() for record in caplog.records] == [
        "data: of 4 pairs of modalities 4 share something; the least: a and b0 share: held-out canonical correlations "
        "0.50 (chance: 0.10)",
        "data: the most: a and b3 share: held-out canonical correlations 0.80 (chance: 0.10)",
    ]


def test_a_data_set_measures_its_scaled_training_samples_and_no_random_number_of_the_run_is_used():
    data = Synthetic(n_samples=300, holdout=0.2)
    data.load()
    torch.manual_seed(0)
    before = torch.get_rng_state()
    (pair,) = data.shared
    assert torch.equal(torch.get_rng_state(), before)
    assert pair.names == tuple(data.dims)
    rows = dict(zip(data.dims, data.samples.tensors, strict=True))
    assert [pair] == shared(rows)
    assert pair.is_something
