"""Scores that the README states; minutes each: `make test-slow`."""

from statistics import mean

import pytest

from cmc.train import train

pytestmark = pytest.mark.slow


def test_the_demo_over_five_seeds(composed, tmp_path):
    """.876 was measured; k-means on both halves gives .795."""
    scores = []
    for seed in range(5):
        (folder := tmp_path / str(seed)).mkdir()
        scores.append(train(composed("experiment=demo", f"seed={seed}"), str(folder))["scores"]["acc"])
    assert mean(scores) > 0.84


def test_cmmc_on_mnist_usps(composed, tmp_path, real_data):
    config = composed("data=files", f"data.root={real_data / 'mnist_usps.mat'}")
    assert train(config, str(tmp_path))["scores"]["acc"] >= 0.99
