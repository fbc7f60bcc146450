"""Baselines: scikit-learn's clusterings, a class each."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from cmc.data.loader import Batch
from cmc.data.module import DataModule
from cmc.errors import UserError
from cmc.functional.canonical import canonical_projections
from cmc.functional.kmeans import nearest
from cmc.functional.threads import one_thread
from cmc.methods.baselines.base import Baseline, Transductive
from cmc.utils import validate

log = logging.getLogger(__name__)


class KMeans(Baseline):
    """k-means; its objective is the mean squared distance to the nearest centre.

    Args:
        restarts: k-means++ starts, of which the best is kept.
        seed: of the starts.
        shared: see `Baseline`.
    """

    centres: Tensor

    def __init__(self, restarts: int = 10, seed: int = 0, **shared: Any) -> None:
        validate.number("method.restarts", restarts, least=1)
        validate.seed("method.seed", seed)
        super().__init__(**shared)
        self.restarts, self.seed = restarts, seed
        self.register_buffer("centres", torch.zeros(self.n_clusters, self.width))

    def fit(self, x: Tensor) -> float:
        """Find the centres."""
        from sklearn.cluster import KMeans

        model = KMeans(self.n_clusters, n_init=self.restarts, random_state=self.seed).fit(x.float().cpu().numpy())
        self.centres.copy_(torch.from_numpy(model.cluster_centers_))
        return float(model.inertia_) / len(x)

    def assign(self, batch: Batch) -> Tensor:
        """1 for the nearest centre, B x K."""
        return F.one_hot(nearest(self.embed(batch), self.centres), self.n_clusters).float()


class CCA(KMeans):
    """Canonical correlation analysis of all modalities, then k-means on the canonical variates, of variance 1 each.

    Source: K. Chaudhuri, S. Kakade, K. Livescu and K. Sridharan, *Multi-view clustering via canonical correlation
    analysis*, ICML 2009; for more than two modalities MAXVAR (`cmc.functional.canonical`).

    Args:
        components: variates kept; None for K - 1, in which the means of K clusters lie, or as many as are shared.
        regularization: ridge on each modality's covariance, in multiples of its mean eigenvalue.
        shared: see `KMeans`; as ``input``, ``concatenation`` is the variates' mean over modalities, a modality's name
            its own variates.
    """

    means: Tensor
    projections: Tensor

    def __init__(self, components: int | None = None, regularization: float = 0.0, **shared: Any) -> None:
        validate.whole("method.components", components, least=1, or_null=True)
        validate.number("method.regularization", regularization, least=0)
        super().__init__(**shared)
        self.widths = list(shared["dims"].values())
        most = sorted(self.widths)[-2]
        if components is not None and components > most:
            raise UserError(f"method.components: {components} given; two of the modalities share at most {most}")
        self.components, self.regularization = components or min(self.n_clusters - 1, most), regularization
        self.centres = torch.zeros(self.n_clusters, self.components)
        self.register_buffer("means", torch.zeros(sum(self.widths), dtype=torch.float64))
        self.register_buffer("projections", torch.zeros(sum(self.widths), self.components, dtype=torch.float64))

    def accept(self, data: DataModule) -> None:
        """Refuse modalities that correlate with anything; warn where together they do."""
        for name, d in data.dims.items():
            if d >= data.n_samples and not self.regularization:
                raise UserError(
                    f"method.regularization: 0 given, but modality {name} has {d} columns for {data.n_samples} "
                    "samples and correlates with anything; give for example 0.1"
                )
        if (total := sum(data.dims.values())) >= data.n_samples and not self.regularization:
            log.warning(
                "method.regularization: 0 given, and the modalities have %d columns together for %d samples: "
                "canonical correlations of 1 are there by chance; give for example 0.1",
                *(total, data.n_samples),
            )

    def rows(self, batch: Batch) -> Tensor:
        """All modalities, whichever of them are clustered."""
        return torch.cat(self.filled(batch), 1)

    def fit(self, x: Tensor) -> float:
        """Find the projections, then the centres of the variates."""
        x = x.double()
        found = canonical_projections(torch.split(x, self.widths, 1), self.components, self.regularization)
        weights = torch.cat([a if self.modality in (None, m) else torch.zeros_like(a) for m, a in enumerate(found)])
        deviation = ((x - x.mean(0)) @ weights).std(0, correction=0)
        self.means.copy_(x.mean(0))
        self.projections.copy_(weights / torch.where(deviation > 0, deviation, 1))
        return super().fit(_project(x, self.means.cpu(), self.projections.cpu()))

    def embed(self, batch: Batch) -> Tensor:
        """The canonical variates, B x components."""
        return _project(self.rows(batch).double(), self.means, self.projections)


def _project(x: Tensor, means: Tensor, projections: Tensor) -> Tensor:
    return ((x - means) @ projections).float()


class GaussianMixture(Baseline):
    """A mixture of Gaussians, in double precision; its objective is minus the mean log likelihood.

    Args:
        covariance: of a component: ``full``, ``tied`` (one for all), ``diag`` or ``spherical``.
        restarts: starts, each from k-means, of which the best is kept.
        regularization: added to the variances.
        seed: of the starts.
        shared: see `Baseline`.
    """

    def __init__(
        self,
        covariance: str = "full",
        restarts: int = 1,
        regularization: float = 1e-6,
        seed: int = 0,
        **shared: Any,
    ) -> None:
        validate.one_of("method.covariance", covariance, ("full", "tied", "diag", "spherical"))
        validate.number("method.restarts", restarts, least=1)
        validate.number("method.regularization", regularization, least=0)
        validate.seed("method.seed", seed)
        super().__init__(**shared)
        k, d = self.n_clusters, self.width
        shapes = {"full": (k, d, d), "tied": (d, d), "diag": (k, d), "spherical": (k,)}
        self.settings = {"covariance_type": covariance, "n_init": restarts, "reg_covar": regularization}
        self.settings["random_state"] = seed
        for name, shape in {"weights_": (k,), "means_": (k, d), "precisions_cholesky_": shapes[covariance]}.items():
            self.register_buffer(name, torch.zeros(shape, dtype=torch.float64))

    def _mixture(self, fitted: bool) -> Any:
        from sklearn.mixture import GaussianMixture

        model = GaussianMixture(self.n_clusters, **self.settings)
        if fitted:
            for name, buffer in self._found():
                setattr(model, name, buffer.cpu().numpy())
        return model

    def _found(self) -> Iterator[tuple[str, Tensor]]:
        return ((name, buffer) for name, buffer in self.named_buffers() if name.endswith("_"))

    def fit(self, x: Tensor) -> float:
        """Find weights, means and precisions."""
        try:
            model = self._mixture(fitted=False).fit(x.double().numpy())
        except ValueError as error:  # a covariance that is not positive definite
            reason = str(error).split(".")[0]
            raise UserError(f"method.regularization: {reason}; give a larger one, or method.covariance=diag") from None
        for name, buffer in self._found():
            buffer.copy_(torch.from_numpy(getattr(model, name)))
        return -float(model.lower_bound_)

    def assign(self, batch: Batch) -> Tensor:
        """Responsibilities, B x K."""
        rows = self.rows(batch)
        if not len(rows):  # a process's share of a small batch
            return rows.new_zeros(0, self.n_clusters)
        with one_thread():
            found = self._mixture(fitted=True).predict_proba(rows.double().cpu().numpy())
        return torch.from_numpy(found).to(rows.device)


class Spectral(Transductive):
    """Spectral clustering; its objective is the normalised cut of the graph of samples.

    Args:
        affinity: edges to ``nearest_neighbors``, or between all pairs, weighted by ``rbf``: exp(-gamma ||x - y||^2).
        n_neighbors: of a sample, itself included.
        gamma: None for 1 / (D times the features' variance).
        restarts: of the k-means on the eigenvectors.
        seed: of the eigenvectors and of k-means.
        shared: see `Baseline`.
    """

    def __init__(
        self,
        affinity: str = "nearest_neighbors",
        n_neighbors: int = 10,
        gamma: float | None = None,
        restarts: int = 10,
        seed: int = 0,
        **shared: Any,
    ) -> None:
        validate.one_of("method.affinity", affinity, ("nearest_neighbors", "rbf"))
        validate.number("method.n_neighbors", n_neighbors, least=1)
        validate.number("method.restarts", restarts, least=1)
        if gamma is not None:
            validate.number("method.gamma", gamma, least=0)
        validate.seed("method.seed", seed)
        super().__init__(**shared)
        self.n_neighbors, self.gamma = n_neighbors, gamma
        self.way_out = (
            f"give {'method.affinity=nearest_neighbors, ' * (affinity == 'rbf')}method=kmeans, or fewer samples"
        )
        self.settings = {"affinity": affinity, "n_neighbors": n_neighbors, "n_init": restarts, "random_state": seed}

    def memory(self, n_samples: int) -> float:
        """Measured: matrices of all pairs, or factors of the graph, which fill up where features are many."""
        return (35 if self.settings["affinity"] == "rbf" else 8) * n_samples**2

    def accept(self, data: DataModule) -> None:
        """Refuse more neighbours than there are samples."""
        super().accept(data)
        _check_neighbours(self.n_neighbors, data.n_samples, data)

    def partition(self, x: np.ndarray) -> tuple[np.ndarray, float]:
        """Labels and normalised cut."""
        from sklearn.cluster import SpectralClustering

        gamma = self.gamma if self.gamma is not None else 1 / (x.shape[1] * (x.var() or 1.0))
        model = SpectralClustering(self.n_clusters, gamma=gamma, **self.settings).fit(x)
        one_hot = np.eye(self.n_clusters)[model.labels_]
        edges = model.affinity_matrix_ @ one_hot
        within, volume = (one_hot * edges).sum(0), one_hot.T @ edges.sum(1)
        return model.labels_, float((1 - within[volume > 0] / volume[volume > 0]).sum())


class Agglomerative(Transductive):
    """Agglomerative clustering: the two nearest clusters are merged until K are left; no random numbers.

    Its objective is the distance of the last two that were merged.

    Args:
        linkage: what the distance of two clusters is: ``ward``, ``complete``, ``average`` or ``single``.
        n_neighbors: merge clusters that touch in the graph of so many nearest neighbours alone; None for any.
        shared: see `Baseline`.
    """

    way_out = "give method.n_neighbors=10, which merges neighbours alone, method=kmeans, or fewer samples"

    def __init__(self, linkage: str = "ward", n_neighbors: int | None = None, **shared: Any) -> None:
        validate.one_of("method.linkage", linkage, ("ward", "complete", "average", "single"))
        if n_neighbors is not None:
            validate.number("method.n_neighbors", n_neighbors, least=1)
        super().__init__(**shared)
        self.linkage, self.n_neighbors = linkage, n_neighbors

    def memory(self, n_samples: int) -> float:
        """Measured: two copies of the distances of all pairs."""
        return 0.0 if self.linkage == "single" or self.n_neighbors is not None else 8 * n_samples**2

    def accept(self, data: DataModule) -> None:
        """Refuse more neighbours than there are other samples."""
        super().accept(data)
        _check_neighbours(self.n_neighbors or 0, data.n_samples - 1, data)

    def partition(self, x: np.ndarray) -> tuple[np.ndarray, float]:
        """Labels and the last merge's distance."""
        from sklearn.cluster import AgglomerativeClustering
        from sklearn.neighbors import kneighbors_graph

        graph = None if self.n_neighbors is None else kneighbors_graph(x, self.n_neighbors)
        model = AgglomerativeClustering(
            self.n_clusters, linkage=self.linkage, connectivity=graph, compute_distances=True
        ).fit(x)
        merges = len(x) - self.n_clusters
        return model.labels_, float(model.distances_[merges - 1]) if merges else 0.0


def _check_neighbours(n_neighbors: int, most: int, data: DataModule) -> None:
    if n_neighbors > most:
        raise UserError(f"method.n_neighbors: {n_neighbors} given for {data.n_samples} samples; give at most {most}")
