"""The temperature and what comes of it, against scipy, loops over plain numbers, and closed forms."""

import math

import numpy as np
import pytest
import torch
from scipy.optimize import brentq
from scipy.special import softmax

from cmc.functional.calibration import MOST, agreeing, calibrated, calibration_error, temperature_of, tempered


def made(n=300, k=5, scale=8.0, noise=4.0, m=3, seed=0):
    """Logits of modalities that see the same clusters through noise of their own."""
    rng = np.random.default_rng(seed)
    return scale * np.eye(k)[rng.integers(0, k, n)] + noise * rng.normal(size=(m, n, k))


def probabilities(logits):
    return torch.from_numpy(softmax(logits, axis=-1)).float()


def test_the_temperature_is_scipys_root_of_sureness_minus_agreement():
    logits = made()
    said = logits.argmax(2)
    share = np.mean([(said[a] == said[b]).mean() for a, b in ((0, 1), (0, 2), (1, 2))])
    each = probabilities(logits)
    assert agreeing(each) == pytest.approx(share)
    target = (300 * share + 1) / 302
    expected = brentq(lambda t: softmax(logits / t, axis=2).max(2).mean() - target, 0.05, 100)
    assert expected > 1.5
    assert temperature_of(each, share, 300) == pytest.approx(expected, rel=1e-4)


def test_of_two_clusters_and_one_size_of_logits_it_has_a_closed_form():
    logit, n = 6.0, 1000
    sign = torch.where(torch.rand(2, n, generator=torch.Generator().manual_seed(0)) < 0.5, 1.0, -1.0)
    each = torch.stack([sign * logit, torch.zeros(2, n)], 2).softmax(2)
    share = 0.8
    target = (n * share + 1) / (n + 2)
    assert temperature_of(each, share, n) == pytest.approx(logit / math.log(target / (1 - target)), rel=1e-5)


def test_what_was_tempered_before_is_found_again():
    logits = made(n=4000, m=2, noise=3.0)
    each = probabilities(logits)
    share = agreeing(each)
    sharper = probabilities(logits * 2.5)
    assert temperature_of(sharper, share, 4000) / temperature_of(each, share, 4000) == pytest.approx(2.5, rel=1e-3)


def test_all_agree_and_none_do():
    each = probabilities(np.repeat(made(m=1), 2, 0))
    whole = temperature_of(each, 1.0, 300)
    assert tempered(each, whole).amax(2).mean().item() == pytest.approx(301 / 302, abs=1e-5)
    assert temperature_of(each, 0.0, 300) == pytest.approx(MOST)


def test_the_calibrated_confidence_is_a_loop_over_the_modalities_that_are_there():
    logits = made(n=40)
    present = np.random.default_rng(1).random((3, 40)) < 0.6
    present[0] |= ~present.any(0)
    cluster = np.random.default_rng(2).integers(0, 5, 40)
    whole, partly = (
        calibrated(probabilities(logits), torch.from_numpy(cluster), 3.0, there)
        for there in (None, torch.from_numpy(present.T))
    )
    for i in range(40):
        own = softmax(logits[:, i] / 3, axis=1)[:, cluster[i]]
        assert whole[i].item() == pytest.approx(own.mean(), rel=1e-4)
        assert partly[i].item() == pytest.approx(own[present[:, i]].mean(), rel=1e-4)


def test_probabilities_of_zero_and_one_give_numbers():
    each = torch.eye(4).repeat(2, 1, 1)
    found = calibrated(each, torch.tensor([0, 1, 2, 0]), temperature_of(each, 0.7, 10_000))
    assert found.isfinite().all()
    assert found[:3].tolist() == pytest.approx([0.7] * 3, abs=1e-3)
    assert found[3].item() == pytest.approx(0.1, abs=1e-3)


def test_they_mean_what_they_say_of_a_modality_that_was_not_looked_at():
    """Three modalities alike, of which two are seen: by their forecast the third is right as often as it says."""
    logits = made(n=20_000, m=3, noise=3.0, scale=5.0)
    each, third = probabilities(3 * logits[:2]), torch.from_numpy(logits[2].argmax(1))
    temperature = temperature_of(each, agreeing(each), 20_000)
    said = each[0].argmax(1)
    raw, known = each[0].amax(1), calibrated(each[:1], said, temperature)
    assert calibration_error(raw, said == third)[0] > 0.15
    assert calibration_error(known, said == third)[0] < 0.05


def test_the_calibration_error_is_a_loop_over_bins():
    rng = np.random.default_rng(0)
    values, right = rng.random(500), rng.random(500) < 0.4
    values[:2] = 0.0, 1.0
    expected, bins = 0.0, []
    for b in range(15):
        here = (values >= b / 15) & ((values < (b + 1) / 15) | (b == 14))
        bins.append((values[here].mean(), right[here].mean()))
        expected += here.mean() * abs(bins[-1][0] - bins[-1][1])
    error, found = calibration_error(torch.from_numpy(values), torch.from_numpy(right))
    assert error == pytest.approx(expected)
    np.testing.assert_allclose(found, bins)
