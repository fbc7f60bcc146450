"""What networks are given: principal components against scikit-learn's, canonical variates against their definition."""

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA
from torch.nn import functional as F

from cmc.functional.canonical import canonical_projections
from cmc.nn.inputs import Inputs, View


def fitted(modalities, *views, unit_rows=False, at_once=None):
    inputs = Inputs([x.shape[1] for x in modalities], unit_rows, views)
    rows = [torch.from_numpy(x).double() for x in modalities]
    inputs.fit(lambda: ((part, None) for part in zip(*(x.split(at_once or len(x)) for x in rows), strict=True)))
    return inputs


def seen(inputs, modalities, view=0):
    return [x.numpy() for x in inputs.double()([torch.from_numpy(x) for x in modalities], view)]


def mixed(n=80, widths=(5, 7), shared=2):
    """Modalities of which the directions of least spread are what they share."""
    rng = np.random.default_rng(0)
    common = rng.normal(size=(n, shared))
    return [
        np.hstack([common + 0.3 * rng.normal(size=(n, shared)), 2 * rng.normal(size=(n, d - shared))])
        @ np.linalg.qr(rng.normal(size=(d, d)))[0]
        + 3
        for d in widths
    ]


@pytest.mark.parametrize("n_out", [2, 5, 9])
def test_principal_components_are_scikit_learns_up_to_sign_and_one_scale(n_out):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(60, 5)) @ rng.normal(size=(5, 5)) + 3
    (ours,) = seen(fitted([x], View(n_out), at_once=25), [x])
    theirs = PCA(min(n_out, 5)).fit_transform(x)
    np.testing.assert_allclose(np.abs(ours), np.abs(theirs) / np.sqrt((theirs**2).mean()), rtol=1e-5, atol=1e-6)


def test_directions_without_variance_become_zero():
    rng = np.random.default_rng(0)
    x = np.hstack([rng.normal(size=(30, 2)), np.ones((30, 3))])
    (result,) = seen(fitted([x], View(4)), [x])
    assert np.isfinite(result).all()
    assert (np.abs(result[:, 2:]) < 1e-6).all()


def test_without_components_rows_stay_as_they_are_and_noise_is_in_their_spread():
    x = np.random.default_rng(0).normal(size=(50, 4)) * 3 + 1
    inputs = fitted([x], View())
    assert np.array_equal(seen(inputs, [x])[0], x)
    assert inputs.scale.item() == pytest.approx(np.sqrt(x.var(0).mean()))


def test_rows_of_unit_length_come_first():
    x = np.random.default_rng(0).normal(size=(50, 6)) + 2
    unit = F.normalize(torch.from_numpy(x)).numpy()
    (ours,) = seen(fitted([x], View(3), unit_rows=True), [x])
    np.testing.assert_allclose(ours, seen(fitted([unit], View(3)), [unit])[0], atol=1e-6)


@pytest.mark.parametrize("widths", [(5, 7), (5, 7, 4)])
def test_shared_directions_are_canonical_variates_as_loud_as_they_correlate(widths):
    modalities = mixed(widths=widths)
    ours = seen(fitted(modalities, View(7, 3), at_once=30), modalities)
    reduced = [torch.from_numpy(x - x.mean(0)) for x in modalities]
    ridge = 0.1  # of the mean variance, as in `Inputs`
    theirs = [(x @ a).numpy() for x, a in zip(reduced, canonical_projections(reduced, 3, ridge), strict=True)]
    pairs = [(a, b) for a in range(len(widths)) for b in range(a)]
    for k in range(3):
        correlation = np.mean([np.corrcoef(theirs[a][:, k], theirs[b][:, k])[0, 1] for a, b in pairs])
        for mine, other in zip(ours, theirs, strict=True):
            assert abs(np.corrcoef(mine[:, k], other[:, k])[0, 1]) == pytest.approx(1, abs=1e-6)
            loudest = np.mean([np.corrcoef(theirs[a][:, 0], theirs[b][:, 0])[0, 1] for a, b in pairs])
            assert mine[:, k].std() / mine[:, 0].std() == pytest.approx(max(correlation, 0) / loudest, abs=1e-6)
    for mine in ours:
        assert (mine**2).mean() == pytest.approx(1, rel=1e-5)


def test_shared_directions_find_what_principal_components_leave_out():
    modalities = mixed(n=400, widths=(12, 12))
    for view, told in ((0, False), (1, True)):
        a, b = seen(fitted(modalities, View(2), View(12, 2)), modalities, view)
        correlations = [abs(np.corrcoef(a[:, k], b[:, k])[0, 1]) for k in range(2)]
        assert min(correlations) > 0.8 if told else max(correlations) < 0.3


def test_a_modality_that_does_not_vary_shares_nothing_and_gives_finite_rows():
    x = np.random.default_rng(0).normal(size=(40, 4))
    inputs = fitted([x, np.ones((40, 3))], View(4, 2), View(3))
    for view in range(2):
        rows = seen(inputs, [x, np.ones((40, 3))], view)
        assert all(np.isfinite(r).all() for r in rows)
        assert not rows[1].any()
    assert not seen(inputs, [x, np.ones((40, 3))])[0].any()
