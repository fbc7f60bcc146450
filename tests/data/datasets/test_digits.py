from __future__ import annotations

import numpy as np
from sklearn.datasets import load_digits

from cmc.data.datasets import digits


def test_halves_put_together_are_scikit_learns_digits() -> None:
    held = digits.load()
    left, right = (half.reshape(1797, 8, 4) for half in held.features.values())
    np.testing.assert_array_equal(np.concatenate([left, right], axis=2), load_digits().images)
    assert held.labels is not None
    np.testing.assert_array_equal(held.labels, load_digits().target)


def test_form() -> None:
    held = digits.load()
    assert held.dims == {"left": 32, "right": 32}
    assert held.n_samples == 1797
    assert held.classes == tuple("0123456789")
    assert all(half.dtype == np.float32 for half in held.features.values())
    assert min(half.min() for half in held.features.values()) == 0
    assert max(half.max() for half in held.features.values()) == 16
    assert "scikit-learn" in held.source
