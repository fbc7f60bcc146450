"""SiMVC and CoMVC: one fused representation clustered by a kernel, without and with contrast between modalities."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import combinations, permutations
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import Optimizer

from cmc import distributed
from cmc.data.loader import Batch
from cmc.data.module import DataModule
from cmc.functional.contrastive import nt_xent
from cmc.functional.ddc import cauchy_schwarz, corner_closeness, ddc_kernel, overlap
from cmc.methods.base import Method, sum_of
from cmc.methods.demands import check_phases, check_weights, check_widths, require_samples
from cmc.nn.autoencoder import SideBySide, mlp
from cmc.nn.bottleneck import ModalityBatchNorm
from cmc.nn.precision import full_precision, to_float32
from cmc.utils import validate


class SiMVC(Method):
    r"""Simple Multi-View Clustering: modalities are fused by learnt weights, clusters are blocks of a kernel.

    An encoder a modality gives z^m, the fused f = sum_m softmax(w)_m z^m, of which a head makes h and the assignment A.
    One phase, ``train``, of deep divergence-based clustering (`cmc.functional.ddc`):

    - ``separation``: how much clusters overlap in the kernel of h;
    - ``overlap``: the mean inner product of two samples' assignments, which keeps clusters from emptying;
    - ``corners``: the first one of how near assignments are to the corners, which makes them certain.

    A sample's cluster is the argmax of A. A modality alone, and those that are there where others are missing, are
    fused by their weights among themselves: this is ours, for the release has complete data alone.

    Source: Trosten et al., *Reconsidering Representation Alignment for Multi-view Clustering*, CVPR 2021.

    Args:
        dims: modality -> width.
        n_clusters: K.
        phases: ``train``.
        optimizer: a function of the parameters.
        batch_size: the global batch, at least 2 K samples.
        drop_last: leave an incomplete last batch out.
        hidden: widths of the encoders' hidden layers.
        latent_dim: width of z.
        head_dim: width of h.
        kernel_width: of the kernel, in multiples of the median squared distance.
        gradient_clip: a bound on the norm of the gradient.

    Raises:
        UserError: a value outside its range, or another phase.
    """

    def __init__(
        self,
        dims: Mapping[str, int],
        n_clusters: int,
        phases: Mapping[str, Mapping[str, Any]],
        optimizer: Callable[[Iterable[Tensor]], Optimizer],
        batch_size: int | str = 100,
        drop_last: bool = True,
        hidden: Sequence[int] = (512, 512),
        latent_dim: int = 256,
        head_dim: int = 100,
        kernel_width: float = 0.15,
        gradient_clip: float | None = None,
    ) -> None:
        check_widths(hidden, latent_dim=latent_dim, head_dim=head_dim)
        validate.number("method.kernel_width", kernel_width, above=0)
        check_phases(type(self).__name__, phases, ("train",))
        super().__init__(dims, n_clusters, phases, optimizer, batch_size, drop_last, gradient_clip=gradient_clip)
        self.kernel_width = kernel_width
        encoders = [mlp([d, *hidden, latent_dim]).apply(_initialise) for d in dims.values()]
        self.encoder = SideBySide(encoders)
        self.weights = nn.Parameter(torch.full((len(dims),), 1 / len(dims)))
        self.feature_head = nn.Sequential(nn.Linear(latent_dim, head_dim), nn.ReLU(), ModalityBatchNorm(head_dim, 1))
        self.cluster_head = nn.Linear(head_dim, n_clusters)
        self.feature_head.apply(_initialise)
        self.cluster_head.apply(_initialise)

    def accept(self, data: DataModule) -> None:
        """Refuse batches in which clusters have hardly a pair of samples."""
        why = f"{type(self).__name__} compares samples within {self.n_clusters} clusters, and needs two of each"
        require_samples(self, data, 2 * self.n_clusters, why)

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """The three terms."""
        return self._clustering(self._encode(batch))[0]

    def _clustering(self, codes: list[Tensor]) -> tuple[dict[str, Tensor], Tensor]:
        """The three terms, and the assignments of all processes' rows."""
        h, a = self._head(self._fused(codes))
        with full_precision(self.device):
            h, a = distributed.all_gather_rows(h), distributed.all_gather_rows(a)
            kernel = ddc_kernel(h, self.kernel_width)
            return {
                "separation": cauchy_schwarz(a, kernel),
                "overlap": overlap(a),
                "corners": cauchy_schwarz(corner_closeness(a), kernel),
            }, a

    def _encode(self, batch: Batch) -> list[Tensor]:
        return [F.relu(to_float32(z)) for z in self.encoder(batch.modalities)]

    def _fused(self, codes: list[Tensor], present: Tensor | None = None) -> Tensor:
        """The codes' mean by the learnt weights, B x latent_dim; of ``present`` (M x B) modalities alone."""
        weights = self.weights.softmax(0)[:, None]
        if present is not None:
            weights = weights * present
            weights = weights / weights.sum(0)
        return torch.stack([w[:, None] * z for z, w in zip(codes, weights, strict=True)]).sum(0)

    def _head(self, fused: Tensor) -> tuple[Tensor, Tensor]:
        """Give h and A."""
        h = to_float32(self.feature_head(fused))
        return h, to_float32(self.cluster_head(h)).softmax(1)

    def assign(self, batch: Batch) -> Tensor:
        """A of all modalities together, B x K."""
        return self._head(self._fused(self._encode(batch)))[1]

    def assign_each(self, batch: Batch) -> Tensor:
        """A of each modality alone, M x B x K."""
        return torch.stack([self._head(z)[1] for z in self._encode(batch)])

    def assignments(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Both from the same codes."""
        codes = self._encode(batch)
        return self._head(self._fused(codes))[1], torch.stack([self._head(z)[1] for z in codes])

    def assign_partly(self, batch: Batch, present: Tensor) -> Tensor:
        """A of the modalities that are there, B x K."""
        return self._head(self._fused(self._encode(batch), present))[1]

    def embed(self, batch: Batch) -> Tensor:
        """The hidden h, B x head_dim, of which the kernel is."""
        return self._head(self._fused(self._encode(batch)))[0]


class CoMVC(SiMVC):
    r"""Contrastive Multi-View Clustering: `SiMVC` with contrast between the modalities' codes of a sample.

    The term ``contrast`` is added: delta min_m softmax(w)_m (without gradient) times twice the mean over pairs of
    modalities of NT-Xent between their codes of unit length. Its other arguments are those of `SiMVC`.

    Source: as `SiMVC`. The release draws the negatives (``negatives=sampled``): of every ordered pair of modalities
    and every sample, a quarter as many as a batch has rows, with replacement, among the rows of samples in other
    clusters, by the present assignment. Where a batch falls into one cluster there are none, and the release ends; here
    the term is 0 then.

    Args:
        contrast_weight: delta.
        temperature: of the contrast.
        negatives: ``paired``, all other rows of both modalities; ``sampled``.
        settings: of `SiMVC`.

    Raises:
        UserError: a value outside its range.
    """

    def __init__(
        self,
        *arguments: Any,
        contrast_weight: float = 0.1,
        temperature: float = 0.1,
        negatives: str = "paired",
        **settings: Any,
    ) -> None:
        check_weights(contrast_weight=contrast_weight)
        validate.number("method.temperature", temperature, above=0)
        validate.one_of("method.negatives", negatives, ("paired", "sampled"))
        super().__init__(*arguments, **settings)
        self.contrast_weight, self.temperature, self.negatives = contrast_weight, temperature, negatives

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """The three terms of `SiMVC`, and the contrast."""
        codes = self._encode(batch)
        terms, assigned = self._clustering(codes)
        with full_precision(self.device):
            z = [F.normalize(x, dim=1) for x in codes]
            contrast = self._sampled(z, assigned) if self.negatives == "sampled" else self._paired(z, batch.offset)
            least = self.weights.detach().softmax(0).min()
            return {**terms, "contrast": self.contrast_weight * least * contrast}

    def _paired(self, z: list[Tensor], offset: int) -> Tensor:
        everywhere = [distributed.all_gather_rows(x) for x in z]
        pairs = list(combinations(range(len(z)), 2))
        each = (nt_xent(z[a], z[b], self.temperature, (everywhere[a], everywhere[b]), offset) for a, b in pairs)
        return 2 * sum_of(each) / len(pairs)

    def _sampled(self, z: list[Tensor], assigned: Tensor) -> Tensor:
        """Cross-entropy of a positive among drawn negatives, of all processes' rows; each draws the same numbers."""
        rows = torch.cat([distributed.all_gather_rows(x) for x in z])
        cluster = assigned.argmax(1)
        n, m = len(cluster), len(z)
        others = (cluster[:, None] != cluster.repeat(m)).float()
        known = others.any(1).nonzero()[:, 0]
        if not len(known):
            return rows.sum() * 0
        terms = []
        for a, b in permutations(range(m), 2):
            drawn = torch.multinomial(others[known], max(1, n * m // 4), replacement=True)
            own = rows[a * n + known]
            positive = (own * rows[b * n + known]).sum(1, keepdim=True)
            negative = (own @ rows.T).gather(1, drawn)
            logits = torch.cat((positive, negative), 1) / self.temperature
            terms.append(F.cross_entropy(logits, torch.zeros_like(known)))
        return sum_of(terms) / len(terms)


def _initialise(module: nn.Module) -> None:
    """Draw the weights of a linear layer as He et al. do for ReLU; its bias stays."""
    if isinstance(module, nn.Linear):
        nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
