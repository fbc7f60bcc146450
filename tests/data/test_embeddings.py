"""Which features are taken for embeddings: made ones of known kinds, and real ones."""

import os
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA, TruncatedSVD

from cmc.cli import register_resolvers
from cmc.data.datasets import Files
from cmc.data.embeddings import is_embedding
from cmc.data.scaling import Scaler

register_resolvers()
N = 300


def rng():
    return np.random.default_rng(0)


def unit(x):
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def counts():
    return rng().poisson(rng().gamma(0.3, size=200), size=(N, 200)).astype(float)


EMBEDDINGS = {
    "sentence encoder: unit rows": unit(rng().normal(size=(N, 384)) + rng().normal(size=384)),
    "CLIP: rows of like length, a loud column": rng().normal(size=(N, 512)) * np.r_[30, np.ones(511)],
    "pooled activations": np.maximum(rng().normal(size=(N, 9, 1280)) - 1, 0).mean(1),
    "principal component scores": PCA().fit_transform(rng().normal(size=(N, 60)) @ rng().normal(size=(60, 60))),
    "latent semantic analysis": TruncatedSVD(50, random_state=0).fit_transform(np.log1p(counts())),
}
MEASUREMENTS = {
    "pixels": load_digits().data,
    "counts": counts(),
    "0/1 tags": (rng().random((N, 80)) < 0.05).astype(float),
    "columns of other units": rng().normal(size=(N, 40)) * 10.0 ** rng().integers(-3, 4, 40),
    "few columns": rng().normal(size=(N, 20)),
    "whole numbers of both signs": rng().integers(-50, 50, (N, 100)).astype(float),
    "few rows": rng().normal(size=(5, 100)),
    "zeros": np.zeros((N, 100)),
}


@pytest.mark.parametrize("name", EMBEDDINGS)
def test_embeddings_are_told_whatever_their_scale(name):
    for scale in (1e-3, 1.0, 1e4):
        assert is_embedding(EMBEDDINGS[name] * scale)


def test_a_share_of_the_samples_of_components_is_told_too():
    """Neighbouring components spread nearly alike: among fewer samples many pairs change places."""
    spreads = np.exp(-np.arange(300) / 40)
    scores = rng().normal(size=(N, 300)) * rng().gamma(1, size=(N, 1)) * spreads
    assert (np.diff(scores.std(0)) > 0).mean() > 0.25
    assert is_embedding(scores)


@pytest.mark.parametrize("name", MEASUREMENTS)
def test_measurements_are_none(name):
    assert not is_embedding(MEASUREMENTS[name])


def test_auto_gives_their_rows_unit_length_and_says_so(caplog):
    x = EMBEDDINGS["CLIP: rows of like length, a loud column"]
    with caplog.at_level("INFO"):
        scaler = Scaler().fit({"image": x, "pixels": MEASUREMENTS["pixels"][:N]}, np.arange(0, N, 2), "auto")
    assert scaler.kinds == {"image": "l2", "pixels": "minmax"}
    assert "modality 'image' looks like an embedding: rows to unit length" in caplog.text


@pytest.mark.skipif("CMC_REAL_DATA" not in os.environ, reason="no real data: CMC_REAL_DATA is unset")
@pytest.mark.parametrize(
    ("name", "kinds"),
    [
        ("youcook", {"image": "l2", "text": "l2"}),
        ("handwritten.mat", {"X1": "minmax", "X2": "none", "X3": "minmax", "X4": "l2", "X5": "l2", "X6": "minmax"}),
        ("event.npz", dict.fromkeys(("view_0", "view_1", "view_2"), "minmax")),
        ("mnist_usps.mat", {"X1": "none", "X2": "none"}),
    ],
)
def test_real_features(name, kinds):
    data = Files(root=str(Path(os.environ["CMC_REAL_DATA"]) / name))
    data.load()
    assert data.scaler.kinds == kinds
