"""What stands in front of a network: rows of unit length, their principal components, noise in training."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cmc import distributed


class PrincipalComponents(nn.Module):
    """Rows on the leading principal components, scaled as a whole to mean square 1 (not whitened).

    Args:
        n_in: width of the rows.
        n_out: components kept; those beyond the data's rank are 0. None keeps the rows as they are.
    """

    mean: Tensor
    basis: Tensor

    def __init__(self, n_in: int, n_out: int | None) -> None:
        super().__init__()
        self.width = n_in if n_out is None else min(n_in, n_out)
        self.keeps = n_out is not None
        self.register_buffer("mean", torch.zeros(n_in if self.keeps else 0))
        self.register_buffer("basis", torch.zeros(n_in, self.width) if self.keeps else torch.zeros(0))

    def fit(self, count: int, total: Tensor, products: Tensor) -> None:
        """Take the components from sums over samples.

        Args:
            count: samples N.
            total: their sum, n_in.
            products: the sum of their outer products, n_in x n_in.
        """
        if not self.keeps:
            return
        mean = total.double() / count
        covariance = products.double() / count - torch.outer(mean, mean)
        variances, vectors = torch.linalg.eigh(covariance.cpu())
        variances, vectors = variances.flip(0)[: self.width], vectors.flip(1)[:, : self.width]
        kept = variances > variances[0] * 1e-10
        scale = (variances[kept].sum() / self.width).sqrt()
        signs = vectors.gather(0, vectors.abs().argmax(0, keepdim=True)).sign()
        self.mean.copy_(mean)
        self.basis.copy_(torch.where(kept, vectors * signs / scale, torch.zeros_like(vectors)))

    def forward(self, x: Tensor) -> Tensor:
        """Map x (B x n_in) to its components (B x width)."""
        return (x - self.mean) @ self.basis if self.keeps else x


class Inputs(nn.Module):
    """Rows of all modalities as the networks are given them.

    Args:
        widths: of the modalities.
        unit_rows: scale rows to length 1 first.
        components: principal components kept of each modality; None for none of this.

    Attributes:
        widths: what comes out.
        scale: M: the root mean square of a modality that comes out, about its mean.
    """

    scale: Tensor

    def __init__(self, widths: Iterable[int], unit_rows: bool, components: int | None) -> None:
        super().__init__()
        self.unit_rows = unit_rows
        fronts = [PrincipalComponents(d, components) for d in widths]
        self.fronts = nn.ModuleList(fronts)
        self.widths = [front.width for front in fronts]
        self.register_buffer("scale", torch.zeros(len(fronts)))

    def fit(self, m: int, passes: Iterable[Tensor]) -> None:
        """Take components and scale of modality m from sums over all samples, in double precision.

        Args:
            m: its number.
            passes: all its rows, B x d at a time, of which this process sees its share.
        """
        front = self.fronts[m]
        assert isinstance(front, PrincipalComponents)
        count, total, products = 0, torch.zeros(()), torch.zeros(())
        for rows in passes:
            x = self._unit(rows.double())
            count, total, products = count + len(x), total + x.sum(0), products + x.T @ x
        count = int(distributed.all_reduce_sum(torch.tensor(count, device=total.device)))
        total, products = distributed.all_reduce_sum(total), distributed.all_reduce_sum(products)
        front.fit(count, total, products)
        variance = products.diagonal() / count - (total / count).square()
        self.scale[m] = 1.0 if front.keeps else variance.mean().sqrt()

    def forward(self, modalities: Sequence[Tensor]) -> list[Tensor]:
        """Map each modality (B x d) to what the networks are given of it (B x its width)."""
        return [front(self._unit(x)) for front, x in zip(self.fronts, modalities, strict=True)]

    def noisy(self, rows: list[Tensor], noise: float, draw: Callable[[Tensor, int], Tensor]) -> list[Tensor]:
        """Add normal noise.

        Args:
            rows: of `forward`.
            noise: its deviation, relative to `scale`.
            draw: gives standard normal numbers for rows and a width.
        """
        if not noise:
            return rows
        return [x + noise * scale * draw(x, x.shape[1]) for x, scale in zip(rows, self.scale, strict=True)]

    def _unit(self, x: Tensor) -> Tensor:
        return F.normalize(x, dim=1) if self.unit_rows else x
