"""The textbook training loops that the benchmark measures against: plain PyTorch, nothing of CMC's.

Samples come one by one out of a ``DataLoader``; NT-Xent is indexed by a mask; joint tables are sums over N x C x C
outer products; Adam loops over parameters; every step's loss is read.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import torch
from sklearn.cluster import KMeans
from threadpoolctl import threadpool_limits
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset


class Samples(Dataset[tuple[Tensor, Tensor, int]]):
    """Two modalities, a sample at a time."""

    def __init__(self, modalities: Sequence[Tensor]) -> None:
        self.a, self.b = modalities

    def __len__(self) -> int:
        return len(self.a)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor, int]:
        return self.a[index], self.b[index], index


def layers(*widths: int) -> nn.Sequential:
    """Linear layers with ReLU between them."""
    modules: list[nn.Module] = []
    for n_in, n_out in pairwise(widths):
        modules += [nn.Linear(n_in, n_out), nn.ReLU()]
    return nn.Sequential(*modules[:-1])


def masked_contrast(a: Tensor, b: Tensor, similarity: Callable[[Tensor], Tensor]) -> Tensor:
    """NT-Xent of the rows of two tensors, negatives taken out of the similarities by a mask."""
    n = len(a)
    scores = similarity(torch.cat((a, b)))
    mask = torch.ones(2 * n, 2 * n, dtype=torch.bool)
    mask.fill_diagonal_(False)
    for i in range(n):
        mask[i, n + i] = mask[n + i, i] = False
    positive = torch.cat((torch.diag(scores, n), torch.diag(scores, -n)))[:, None]
    negative = scores[mask.to(scores.device)].reshape(2 * n, -1)
    target = torch.zeros(2 * n, dtype=torch.long, device=scores.device)
    return F.cross_entropy(torch.cat((positive, negative), 1), target)


class NaiveCMMC(nn.Module):
    """CMMC's networks and its first two phases."""

    def __init__(self, dims: Sequence[int], n_clusters: int) -> None:
        super().__init__()
        widths = (500, 500, 2000, 512)
        self.encoders = nn.ModuleList(layers(d, *widths) for d in dims)
        self.decoders = nn.ModuleList(layers(*reversed(widths), d) for d in dims)
        self.feature_head, self.cluster_head = nn.Linear(512, 128), nn.Linear(512, n_clusters)

    def loss(self, rows: Sequence[Tensor], index: Tensor, phase: str) -> Tensor:
        """L_Z, and in ``contrast`` L_H and L_Q besides."""
        codes = [encoder(x) for encoder, x in zip(self.encoders, rows, strict=True)]
        pairs = zip(self.decoders, codes, rows, strict=True)
        loss: Tensor = sum(F.mse_loss(decoder(z), x) for decoder, z, x in pairs)  # type: ignore[assignment]
        if phase == "reconstruct":
            return loss
        h = [F.normalize(self.feature_head(z), dim=1) for z in codes]
        q = [F.softmax(self.cluster_head(z), dim=1) for z in codes]
        loss = loss + masked_contrast(h[0], h[1], lambda r: r @ r.T / 0.5)
        loss = loss + masked_contrast(q[0].T, q[1].T, lambda r: F.cosine_similarity(r[:, None], r[None], dim=2))
        for x in q:
            size = x.sum(0) / x.sum()
            loss = loss + (size * size.log()).sum()
        return loss


class NaiveDMIM(nn.Module):
    """DMIM's network and loss terms."""

    def __init__(self, dims: Sequence[int], n_clusters: int, width: int = 100) -> None:
        super().__init__()
        self.projections = nn.ModuleList(nn.Linear(d, width) for d in dims)
        blocks = [(nn.Linear(width, width), nn.BatchNorm1d(width), nn.ReLU()) for _ in range(2)]
        self.encoder = nn.Sequential(*(module for block in blocks for module in block))
        self.mean, self.rho = nn.Linear(width, width), nn.Linear(width, width)
        self.heads = nn.ModuleList([nn.Linear(width, n_clusters), nn.Linear(width, 10 * n_clusters)])
        self.targets: list[Tensor] = []

    def outputs(self, rows: Sequence[Tensor]) -> list[tuple[Tensor, Tensor, Tensor, Tensor]]:
        """Mean, deviation and both heads' logits of each modality."""
        found = []
        for projection, x in zip(self.projections, rows, strict=True):
            trunk = self.encoder(projection(x))
            mean, deviation = self.mean(trunk), F.softplus(self.rho(trunk)) + 1e-7
            z = mean + deviation * torch.randn_like(mean)
            found.append((mean, deviation, self.heads[0](z), self.heads[1](z)))
        return found

    def refresh(self, modalities: Sequence[Tensor]) -> None:
        """Pseudo labels by Sinkhorn-Knopp in linear space."""
        with torch.no_grad():
            self.targets = [_balanced(F.softmax(o[2], dim=1)) for o in self.outputs(modalities)]

    def loss(self, rows: Sequence[Tensor], index: Tensor, phase: str) -> Tensor:
        """-I for both heads + 0.01 KL + 0.5 cross-entropy."""
        found = self.outputs(rows)
        loss = torch.zeros((), device=index.device)
        for head in (2, 3):
            loss = loss - _information(*(F.softmax(o[head], dim=1) for o in found))
        for (mean, deviation, logits, _), targets in zip(found, self.targets, strict=True):
            divergence = (mean**2 + deviation**2 - 1 - 2 * deviation.log()).sum(1).mean() / 2
            loss = loss + 0.01 * divergence + 0.5 * F.cross_entropy(logits, targets[index])
        return loss


def _information(a: Tensor, b: Tensor) -> Tensor:
    joint = (a.unsqueeze(2) * b.unsqueeze(1)).sum(0)
    joint = joint / joint.sum()
    rows, columns = joint.sum(1, keepdim=True).expand_as(joint), joint.sum(0, keepdim=True).expand_as(joint)
    joint, rows, columns = (x.clamp_min(1e-8) for x in (joint, rows, columns))
    return (joint * (joint.log() - rows.log() - columns.log())).sum()


def _balanced(p: Tensor) -> Tensor:
    scores = p.double().T ** 10
    k, n = scores.shape
    columns = torch.full((n, 1), 1 / n, dtype=torch.float64, device=p.device)
    for _ in range(20):
        rows = 1 / (k * (scores @ columns))
        columns = 1 / (n * (rows.T @ scores).T)
    return (rows * scores * columns.T).argmax(0)


def epochs(model: Any, modalities: Sequence[Tensor], batch_size: int, lr: float) -> Callable[[str], float]:
    """A function that trains one epoch of a phase and returns its mean loss."""
    optimizer = torch.optim.Adam(model.parameters(), lr=lr, foreach=False, fused=False)
    loader = DataLoader(Samples(modalities), batch_size=batch_size, shuffle=True, drop_last=True)
    device = next(model.parameters()).device

    def train(phase: str) -> float:
        losses = []
        for a, b, index in loader:
            optimizer.zero_grad()
            loss = model.loss((a.to(device), b.to(device)), index.to(device), phase)
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        return sum(losses) / len(losses)

    return train


def scikit_learns_centres(x: torch.Tensor, n_clusters: int, restarts: int, seed: int) -> torch.Tensor:
    """scikit-learn's k-means in the place of `cmc.functional.kmeans.kmeans_centres`."""
    with threadpool_limits(limits=1):  # as it is fastest
        found = KMeans(n_clusters, n_init=restarts, random_state=seed).fit(x.cpu().numpy())
    return torch.from_numpy(found.cluster_centers_).to(x)
