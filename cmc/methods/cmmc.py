"""CMMC, Contrastive Multi-Modal Clustering (Xu et al., arXiv 2106.11193), later MFLVC (CVPR 2022)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from itertools import combinations
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import Optimizer

from cmc import distributed
from cmc.data.loader import Batch, InOrder
from cmc.errors import UserError
from cmc.functional.contingency import contingency_table
from cmc.functional.contrastive import cluster_contrast, cluster_imbalance, cluster_products, nt_xent
from cmc.functional.kmeans import column_range, kmeans_centres, nearest
from cmc.functional.matching import match
from cmc.functional.present import average
from cmc.methods.base import Method, sum_of
from cmc.methods.encoders import Encoders, shapes_of
from cmc.methods.gaps import Gaps, gaps_of, there, total
from cmc.nn.multilevel import MultiLevelNetwork
from cmc.nn.precision import full_precision, to_float32
from cmc.utils import validate

_PHASES = ("reconstruct", "contrast", "align")
_KMEANS_ROWS = 100_000  # that k-means is run on: evenly spaced ones, where there are more
_CHUNK = 4096


class CMMC(Method):
    r"""Contrastive clustering on features that reconstruction keeps honest.

    One auto-encoder a modality gives the low-level feature z^m; two heads shared by all modalities give from it the
    high-level feature h^m (unit length) and the semantic label q^m, the assignment. Three phases:

    1. ``reconstruct``: L_Z = sum_m MSE(x^m, decoder^m(z^m)).
    2. ``contrast``: L_Z + L_H + L_Q. L_H sums NT-Xent between the h of two modalities over all pairs. L_Q sums
       NT-Xent between the columns of their q over all pairs, and adds log K + sum_k s_k log s_k a modality, s the
       batch mean of q: it keeps clusters from emptying.
    3. ``align``: cross-entropy of q^m against pseudo labels: k-means on h^m, min-max scaled a dimension, once at the
       start, renamed before every epoch to q's cluster numbers by the maximum matching with argmax q^m. One step an
       epoch on all samples, its gradient summed over chunks. Of more than 100,000 samples, so many evenly spaced ones
       give the centres, and every sample takes the nearest.

    A sample's cluster is the argmax of the mean over modalities of q^m.

    A sample that lacks modalities is trained on by those that it has (`cmc.methods.gaps`): L_Z, sizes and pseudo labels
    are of the rows that are there, contrasts of the samples that have both, and its cluster is that of the mean over
    the modalities that are there.

    Source: MFLVC, section 3 (the losses and phases bear its names: L_Z, L_H, L_Q, L_P). Where the authors' release
    leaves it: `cmc.methods.cmmc_released.ReleasedCMMC`.

    Args:
        dims: modality -> width.
        n_clusters: K.
        phases: ``reconstruct``, ``contrast`` and ``align``.
        optimizer: a function of the parameters.
        batch_size: the global batch of the first two phases.
        drop_last: leave an incomplete last batch out.
        hidden: widths of the encoder's hidden layers; the decoder mirrors them.
        latent_dim: width of z.
        feature_dim: width of h.
        feature_temperature: tau_F of L_H.
        label_temperature: tau_L of L_Q.
        kmeans_restarts: starts of the k-means that makes pseudo labels.
        seed: of k-means.
        encoder: modality -> ``mlp``, or the shape of its pictures, for a convolutional encoder and decoder.
        gradient_clip: a bound on the norm of the gradient.
        compile: see `cmc.methods.base.Method`.

    Raises:
        UserError: a value outside its range, or a phase that is not one of the three.
    """

    warmup = frozenset({"reconstruct"})
    chunkable = frozenset({"align"})
    compilable = tuple(f"_{phase}" for phase in _PHASES)
    takes_gaps = True
    pseudo_labels: Tensor
    names: Tensor

    def __init__(
        self,
        dims: Mapping[str, int],
        n_clusters: int,
        phases: Mapping[str, Mapping[str, Any]],
        optimizer: Callable[[Iterable[Tensor]], Optimizer],
        batch_size: int | str = 256,
        drop_last: bool = True,
        hidden: Sequence[int] = (500, 500, 2000),
        latent_dim: int = 512,
        feature_dim: int = 128,
        feature_temperature: float = 0.5,
        label_temperature: float = 1.0,
        kmeans_restarts: int = 100,
        seed: int = 0,
        encoder: Encoders = None,
        gradient_clip: float | None = None,
        compile: bool = False,
    ) -> None:
        sizes = {"latent_dim": latent_dim, "feature_dim": feature_dim, "kmeans_restarts": kmeans_restarts}
        for key, size in {**sizes, **{f"hidden[{i}]": width for i, width in enumerate(hidden)}}.items():
            validate.number(f"method.{key}", size, least=1)
        for key, temperature in (("feature", feature_temperature), ("label", label_temperature)):
            accepted = validate.is_number(temperature) and temperature > 0
            validate.require(f"method.{key}_temperature", temperature, accepted, "above 0")
        validate.seed("method.seed", seed)
        if unknown := [name for name in phases if name not in _PHASES]:
            raise UserError(f"method.phases.{unknown[0]}: CMMC's phases are {', '.join(_PHASES)}")
        super().__init__(
            dims, n_clusters, phases, optimizer, batch_size, drop_last, gradient_clip=gradient_clip, compile=compile
        )
        self.feature_temperature, self.label_temperature = feature_temperature, label_temperature
        self.kmeans_restarts, self.seed = kmeans_restarts, seed
        shape = (tuple(dims.values()), tuple(hidden), latent_dim, feature_dim, n_clusters, shapes_of(encoder, dims))
        self._drawn = partial(MultiLevelNetwork, *shape)
        self.networks = nn.ModuleList([self._drawn()])
        self.register_buffer("pseudo_labels", torch.empty(len(dims), 0, dtype=torch.int16))
        self.register_buffer("names", torch.arange(n_clusters).repeat(len(dims), 1))

    @property
    def network(self) -> MultiLevelNetwork:
        """The one that answers, and that ``align`` trains."""
        return self.networks[0]  # type: ignore[return-value]

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """The terms of the present phase."""
        return self._terms(self.network, batch)

    def _terms(self, network: MultiLevelNetwork, batch: Batch) -> dict[str, Tensor]:
        """Those of one network."""
        terms: dict[str, Tensor] = getattr(self, f"_{self.phase.name}")(network, batch)
        return terms

    def _reconstruct(self, network: MultiLevelNetwork, batch: Batch) -> dict[str, Tensor]:
        gaps = gaps_of(batch)
        rows = there(batch, gaps)
        return {"reconstruction": self._error(network, network.encode(rows), rows, gaps)}

    def _error(
        self, network: MultiLevelNetwork, codes: list[Tensor], rows: Sequence[Tensor], gaps: Gaps | None
    ) -> Tensor:
        """The sum over modalities of the mean squared error."""
        decoded = [(to_float32(y), x) for y, x in zip(network.decode(codes), rows, strict=True)]
        if gaps is None:
            return sum_of(F.mse_loss(y, x) for y, x in decoded)
        return sum_of(gaps.mean(m, F.mse_loss, y, x) for m, (y, x) in enumerate(decoded))

    def _contrast(self, network: MultiLevelNetwork, batch: Batch) -> dict[str, Tensor]:
        gaps = gaps_of(batch)
        rows = there(batch, gaps)
        codes = network.encode(rows)
        error = self._error(network, codes, rows, gaps)
        h = [network.feature(z) for z in codes]
        q = [network.logits(z).softmax(1) for z in codes]
        with full_precision(self.device):
            return {
                "reconstruction": error,
                "feature_contrast": self._feature_contrast(h, batch, gaps),
                "label_contrast": self._label_contrast(q, gaps),
                "imbalance": self._imbalance(q, batch, gaps),
            }

    def _label_contrast(self, q: list[Tensor], gaps: Gaps | None) -> Tensor:
        """Over pairs, of the global batch."""
        pairs = combinations(q, 2) if gaps is None else [gaps.both(a, b, q) for a, b in gaps.pairs()]
        terms = [
            cluster_contrast(distributed.all_reduce_sum(cluster_products(a, b)), self.label_temperature)
            for a, b in pairs
        ]
        if gaps is not None:
            terms = [term * gaps.weight(*pair) for term, pair in zip(terms, gaps.pairs(), strict=True)]
        return total(terms, q[0])

    def _imbalance(self, q: list[Tensor], batch: Batch, gaps: Gaps | None) -> Tensor:
        if gaps is None:
            return sum_of([cluster_imbalance(distributed.all_reduce_sum(x.sum(0, True)) / batch.total) for x in q])
        counted = [(x, m) for m, x in enumerate(q) if gaps.count(m)]
        sizes = [(distributed.all_reduce_sum(x.sum(0, True)) / gaps.count(m), gaps.weight(m)) for x, m in counted]
        return sum_of([cluster_imbalance(size) * weight for size, weight in sizes])

    def _feature_contrast(self, h: list[Tensor], batch: Batch, gaps: Gaps | None) -> Tensor:
        """Over pairs, this process's rows among those of the global batch."""
        temperature = self.feature_temperature
        if gaps is None:
            everywhere = [distributed.all_gather_rows(x) for x in h]
            pairs = combinations(range(len(h)), 2)
            return sum_of(
                nt_xent(h[a], h[b], temperature, (everywhere[a], everywhere[b]), batch.offset) for a, b in pairs
            )
        terms = []
        for a, b in gaps.pairs():
            first, second = gaps.both(a, b, h)
            among = (distributed.all_gather_rows(first), distributed.all_gather_rows(second))
            terms.append(nt_xent(first, second, temperature, among, gaps.before(a, b), gaps.size(a, b)))
        return total(terms, h[0])

    def _align(self, network: MultiLevelNetwork, batch: Batch) -> dict[str, Tensor]:
        gaps = gaps_of(batch)
        scores = [network.logits(z) for z in network.encode(there(batch, gaps))]
        return {"alignment": self._taught(scores, batch, gaps)}

    def _taught(self, scores: list[Tensor], batch: Batch, gaps: Gaps | None) -> Tensor:
        """Cross-entropy of every modality's scores, taken for logits, against its pseudo labels, summed."""
        own = self.pseudo_labels[:, batch.index.to(self.device)].long()
        found = list(own) if gaps is None else gaps.there(own)
        taught = [(x, names[own]) for x, names, own in zip(scores, self.names, found, strict=True)]
        if gaps is None:
            return sum_of(F.cross_entropy(x, own) for x, own in taught)
        return sum_of(gaps.mean(m, F.cross_entropy, x, own) for m, (x, own) in enumerate(taught))

    def refresh(self, phase: str, epoch: int, batches: InOrder) -> None:
        """At the start of ``align``: pseudo labels, M x N. Before each of its epochs: their names in q, M x K."""
        if phase != "align":
            return
        if epoch == 0:
            self.pseudo_labels = self._clustered(batches)
        k = self.n_clusters
        tables = torch.zeros(len(self.pseudo_labels), k, k, dtype=torch.long, device=self.device)
        for batch in batches:
            own, present = self.pseudo_labels[:, batch.index.to(self.device)], batch.present
            for m, z in enumerate(self.network.encode(batch.modalities)):
                those = slice(None) if present is None else present[:, m]
                tables[m] += contingency_table(own[m, those], self.network.logits(z).argmax(1)[those], k, k)
        self.names = torch.stack([self._named(table) for table in distributed.all_reduce_sum(tables)])

    def _named(self, table: Tensor) -> Tensor:
        """The cluster of q for each pseudo label, K, from the K x K counts of both (pseudo label x q)."""
        return match(table)

    def _clustered(self, batches: InOrder) -> Tensor:
        """Every sample's cluster by k-means in each modality's features, M x N; -1 where it lacks the modality."""
        found = self._kmeans(batches.spaced(_KMEANS_ROWS))
        labels = torch.empty(len(found), batches.n_samples, dtype=torch.int16, device=self.device)
        done = 0
        for batch in batches:
            features = self.network.features(batch.modalities)
            for m, (h, (low, spread, centres)) in enumerate(zip(features, found, strict=True)):
                own = nearest((h - low) / spread, centres)
                labels[m, done : done + batch.total] = distributed.all_gather_rows(own)
            done += batch.total
        return labels if batches.present is None else labels.masked_fill_(~batches.present.T.to(labels.device), -1)

    def _kmeans(self, batch: Batch) -> list[tuple[Tensor, Tensor, Tensor]]:
        """Of every modality: its features' least value and spread a dimension, and k-means' centres of them, scaled."""
        chunks = (self.network.features(there(chunk, gaps_of(chunk))) for chunk in batch.chunks(_CHUNK))
        found = []
        for h in map(torch.cat, zip(*chunks, strict=True)):
            self.require_finite("features", h)
            low, spread = column_range(h)
            centres = h.new_empty(self.n_clusters, h.shape[1])
            if distributed.is_rank_zero():
                scaled = (h - low) / spread
                centres = kmeans_centres(scaled, self.n_clusters, self.kmeans_restarts, self.seed)
            found.append((distributed.broadcast(low), distributed.broadcast(spread), distributed.broadcast(centres)))
        return found

    def assign_each(self, batch: Batch) -> Tensor:
        """q^m of every modality, M x B x K."""
        return self.network.assign(batch.modalities)

    def assign(self, batch: Batch) -> Tensor:
        """The mean over modalities of q^m, B x K."""
        return self.assignments(batch)[0]

    def assignments(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Both from the same q^m."""
        each = self.assign_each(batch)
        return average(each, batch.present), each

    def embed(self, batch: Batch) -> Tensor:
        """The mean over the modalities that are there of h^m, B x feature_dim."""
        return average(torch.stack(self.network.features(batch.modalities)), batch.present)
