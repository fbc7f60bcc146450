"""scikit-learn's digits twice: a clean picture, and a noisy one of another sample of the same class."""

from __future__ import annotations

import numpy as np

from cmc.data.modalities import Modalities
from cmc.data.module import DataModule
from cmc.utils import validate


class NoisyDigits(DataModule):
    """1,797 handwritten digits of 8 x 8 pixels in [0, 1], by two pictures each: ``clean``, and ``noisy``, K = 10.

    ``noisy`` is another sample of the same class, with uniform noise from [0, 1] added to every pixel, and cut at 1: as
    NoisyMNIST is made of MNIST (Wang et al., *On Deep Multi-View Representation Learning*, ICML 2015). What both share
    is the class alone. Rows are pictures, flattened: ``method.encoder={clean: conv, noisy: conv}`` sees them as such.

    Args:
        noise: the most that is added to a pixel.
        generator_seed: of the pairs and of the noise; runs of other seeds see the same data.
        settings: of every data set; see `cmc.data.module.DataModule`.
    """

    def __init__(self, noise: float = 1.0, generator_seed: int = 0, **settings: object) -> None:
        super().__init__(**settings)  # type: ignore[arg-type]
        self.noise = validate.number("data.noise", noise, least=0)
        self.generator_seed = validate.seed("data.generator_seed", generator_seed)

    def read(self) -> Modalities:
        """Pair and disturb them."""
        from sklearn.datasets import load_digits

        held = load_digits()
        pixels, digit = held.data.astype(np.float32) / 16, held.target
        draws = np.random.default_rng(self.generator_seed)
        partner = np.empty(len(digit), dtype=np.int64)
        for own in range(10):
            members = draws.permutation(np.flatnonzero(digit == own))
            partner[members] = np.roll(members, 1)
        noise = draws.uniform(0, self.noise, pixels.shape).astype(np.float32)
        return Modalities(
            {"clean": pixels, "noisy": np.minimum(pixels[partner] + noise, 1)},
            labels=digit,
            classes=tuple(map(str, range(10))),
            shapes={"clean": (8, 8), "noisy": (8, 8)},
            source="scikit-learn's digits, clean and noisy",
        )
