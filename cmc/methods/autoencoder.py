"""Auto-encoders and k-means: what the codes of reconstruction alone are worth."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from torch import Tensor
from torch.nn import functional as F
from torch.optim import Optimizer

from cmc.data.loader import Batch
from cmc.methods.base import sum_of
from cmc.methods.centred import Centred
from cmc.methods.demands import check_phases, check_widths
from cmc.nn.autoencoder import AutoEncoders
from cmc.nn.kmeans_head import KMeansHead, check_kmeans
from cmc.nn.precision import to_float32


class AutoEncoderKMeans(Centred):
    r"""One auto-encoder a modality, and k-means on their codes side by side.

    One phase, ``reconstruct``, of the loss :math:`\sum_m MSE(x^m, decoder^m(z^m))`, a mean over samples and columns.
    Modalities meet in k-means alone: it is the baseline that tells what a method gains by training them together, and
    what the first phase of most others begins from.

    Source: the auto-encoders are those of DEC (Xie et al., ICML 2016) and of the methods that build on it; the
    combination is AE-KM in Trosten et al., *On the Effects of Self-supervision and Contrastive Alignment in Deep
    Multi-view Clustering*, CVPR 2023, there of other widths.

    Args:
        dims: modality -> width.
        n_clusters: K.
        phases: ``reconstruct``.
        optimizer: a function of the parameters.
        batch_size: the global batch.
        drop_last: leave an incomplete last batch out.
        hidden: widths of the encoder's hidden layers; the decoder mirrors them.
        latent_dim: width of z.
        scale_codes: before k-means: ``none``; ``minmax``, columns to [0, 1]; ``unit``, a modality's rows to length 1.
        kmeans_restarts: starts of k-means.
        seed: of k-means.
        gradient_clip: a bound on the norm of the gradient.

    Raises:
        UserError: a value outside its range, or another phase.
    """

    chunkable = frozenset({"reconstruct"})

    def __init__(
        self,
        dims: Mapping[str, int],
        n_clusters: int,
        phases: Mapping[str, Mapping[str, Any]],
        optimizer: Callable[[Iterable[Tensor]], Optimizer],
        batch_size: int | str = 256,
        drop_last: bool = False,
        hidden: Sequence[int] = (500, 500, 2000),
        latent_dim: int = 10,
        scale_codes: str = "none",
        kmeans_restarts: int = 10,
        seed: int = 0,
        gradient_clip: float | None = None,
    ) -> None:
        check_widths(hidden, latent_dim=latent_dim)
        check_kmeans(kmeans_restarts, seed, scale_codes)
        check_phases("autoencoder", phases, ("reconstruct",))
        super().__init__(dims, n_clusters, phases, optimizer, batch_size, drop_last, gradient_clip=gradient_clip)
        self.autoencoders = AutoEncoders(dims.values(), [*hidden, latent_dim])
        self.head = KMeansHead([latent_dim] * len(dims), n_clusters, kmeans_restarts, seed, scale_codes)

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """The error of the reconstruction."""
        return {"reconstruction": reconstruction(self.autoencoders.decoder(self._encode(batch)), batch.modalities)}

    def codes(self, batch: Batch) -> list[Tensor]:
        """The code z of every modality."""
        return [to_float32(z) for z in self._encode(batch)]

    def _encode(self, batch: Batch) -> list[Tensor]:
        codes: list[Tensor] = self.autoencoders.encoder(batch.modalities)
        return codes


def reconstruction(decoded: Iterable[Tensor], rows: Iterable[Tensor]) -> Tensor:
    """The sum over modalities of the mean squared error."""
    return sum_of(F.mse_loss(to_float32(y), x) for y, x in zip(decoded, rows, strict=True))
