"""What stands in front of networks: rows of unit length, seen by principal components or by what modalities share."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple, TypeVar, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cmc import distributed
from cmc.functional.canonical import shared_directions

_RIDGE = 0.1  # on the covariance of principal components, in multiples of its mean eigenvalue
Rows = tuple[Sequence[Tensor], Tensor | None]  # M tensors, B x d, and whether they are there, B x M; None where all are
_T = TypeVar("_T")
Passes = Callable[[], Iterable[Rows]]  # over all samples


class View(NamedTuple):
    """What of a modality's rows a network is given.

    Attributes:
        components: principal components kept of each modality; None for its rows as they are.
        shared: canonical variates kept of these components, each weighted by its correlation; None for none of this.
    """

    components: int | None = None
    shared: int | None = None


class Projection(nn.Module):
    """Rows less their mean, times a basis; as they are where there is none.

    Args:
        n_in: width of the rows.
        n_out: of what comes out; None keeps the rows as they are.
    """

    mean: Tensor
    basis: Tensor

    def __init__(self, n_in: int, n_out: int | None) -> None:
        super().__init__()
        self.width, self.keeps = n_in if n_out is None else n_out, n_out is not None
        self.register_buffer("mean", torch.zeros(n_in if self.keeps else 0))
        self.register_buffer("basis", torch.zeros(n_in, self.width) if self.keeps else torch.zeros(0))

    def take(self, mean: Tensor, basis: Tensor) -> None:
        """Take over a mean (n_in) and a basis (n_in x at most n_out); columns that are not there are 0."""
        self.mean.copy_(mean)
        self.basis.zero_()
        self.basis[:, : basis.shape[1]] = basis

    def forward(self, x: Tensor) -> Tensor:
        """Map x (B x n_in) to B x width."""
        return (x - self.mean) @ self.basis if self.keeps else x


class Inputs(nn.Module):
    """Rows of all modalities as the networks are given them, in several views.

    Of principal components the leading ones are kept, scaled as a whole to mean square 1 (not whitened). Canonical
    variates (MAXVAR, with a ridge of a tenth of the mean variance, on the leading components) have unit variance times
    the mean of their correlations between two modalities, then mean square 1 as a whole: what modalities share counts
    more than what varies most. The ridge keeps directions out that hardly vary and correlate by chance.

    Args:
        widths: of the modalities.
        unit_rows: scale rows to length 1 first.
        views: one a kind of networks.
        whole: of each modality, whether its rows stay as they are in views of its components; none by default.

    Attributes:
        scale: V x M: the root mean square of a modality in a view, about its mean.
    """

    scale: Tensor

    def __init__(
        self, widths: Iterable[int], unit_rows: bool, views: Sequence[View], whole: Sequence[bool] = ()
    ) -> None:
        super().__init__()
        self.unit_rows, self.views, self._n_in = unit_rows, tuple(views), list(widths)
        self._whole = list(whole) or [False] * len(self._n_in)
        self.projections = nn.ModuleList(
            nn.ModuleList(Projection(width, self._width(view, m)) for m, width in enumerate(self._n_in))
            for view in views
        )
        self.register_buffer("scale", torch.ones(len(views), len(self._n_in)))

    def _width(self, view: View, m: int) -> int | None:
        if view.components is None or (view.shared is None and self._whole[m]):
            return None
        return min(view.components, self._n_in[m]) if view.shared is None else view.shared

    def of_whole(self, view: int, shapes: Sequence[_T | None]) -> list[_T | None]:
        """Of what there is for each modality that of modalities whose rows are as they are in a view."""
        return [None if self.projection(view, m).keeps else shape for m, shape in enumerate(shapes)]

    def widths(self, view: int) -> list[int]:
        """Of the modalities in a view."""
        return [self.projection(view, m).width for m in range(len(self._n_in))]

    def fit(self, passes: Passes) -> None:
        """Take bases and scales from all samples of all processes, in double precision.

        Args:
            passes: begins a pass over this process's share of the samples.
        """
        kept = max(view.components or 0 for view in self.views)
        means: list[Tensor] = []
        bases: list[Tensor] = []
        for m in range(len(self._n_in)):
            mean, covariance = self._moments(passes, m, with_products=kept > 0)
            variances, vectors = _leading(covariance, kept)
            means, bases = [*means, mean], [*bases, vectors]
            for v, view in enumerate(self.views):
                if not self.projection(v, m).keeps:
                    self.scale[v, m] = (covariance.diagonal() if kept else covariance).mean().sqrt()
                elif view.shared is None:
                    projection = self.projection(v, m)
                    scale = (variances[: view.components].sum() / projection.width).sqrt()
                    projection.take(mean, vectors[:, : view.components] / torch.where(scale > 0, scale, 1.0))
        if any(view.shared is not None for view in self.views):
            self._fit_shared(passes, means, bases)

    def _moments(self, passes: Passes, m: int, with_products: bool) -> tuple[Tensor, Tensor]:
        """Mean, d, of the rows of modality m, and their covariance, d x d, or its diagonal alone."""
        count, total, products = 0, torch.zeros(()), torch.zeros(())
        for rows, present in passes():
            there = rows[m] if present is None else rows[m][present[:, m]]
            x = self._unit(there.double())
            count, total = count + len(x), total + x.sum(0)
            products = products + (x.T @ x if with_products else x.square().sum(0))
        count = int(distributed.all_reduce_sum(torch.tensor(count, device=total.device)))
        mean = distributed.all_reduce_sum(total) / count
        products = distributed.all_reduce_sum(products) / count
        return mean, products - (torch.outer(mean, mean) if with_products else mean.square())

    def _fit_shared(self, passes: Passes, means: list[Tensor], bases: list[Tensor]) -> None:
        """Take canonical variates from the covariance of all modalities' leading components.

        That of two modalities is of the samples that have both.
        """
        widths = [basis.shape[1] for basis in bases]
        count, products = torch.zeros((), dtype=torch.long), torch.zeros(())
        for rows, present in passes():
            centred = [self._unit(x.double()) - mean for x, mean in zip(rows, means, strict=True)]
            if present is not None:
                centred = [x * there.unsqueeze(1) for x, there in zip(centred, present.T, strict=True)]
            x = torch.cat([own @ basis for own, basis in zip(centred, bases, strict=True)], 1)
            count = count + (len(x) if present is None else _both(present))
            products = products + x.T @ x
        count = distributed.all_reduce_sum(count.to(products.device))
        if count.ndim:
            times = torch.tensor(widths, device=count.device)
            count = count.clamp_min(1).repeat_interleave(times, 0).repeat_interleave(times, 1)
        covariance = distributed.all_reduce_sum(products) / count
        blocks = [torch.split(rows, widths, 1) for rows in torch.split(covariance.cpu(), widths)]
        for v, view in enumerate(self.views):
            if view.shared is None:
                continue
            used = [[block[: view.components, : view.components] for block in row] for row in blocks]
            for m, directions in enumerate(shared_directions(used, view.shared, _RIDGE)):
                leading = bases[m][:, : view.components]
                self.projection(v, m).take(means[m], leading @ directions.to(leading))

    def projection(self, view: int, m: int) -> Projection:
        """Of modality m in a view."""
        return cast(Projection, cast(nn.ModuleList, self.projections[view])[m])

    def forward(self, modalities: Sequence[Tensor], view: int) -> list[Tensor]:
        """Map each modality (B x d) to what the networks of a view are given of it (B x its width)."""
        return [self.projection(view, m)(self._unit(x)) for m, x in enumerate(modalities)]

    def noisy(self, rows: list[Tensor], view: int, noise: float, draw: Callable[[Tensor, int], Tensor]) -> list[Tensor]:
        """Add normal noise.

        Args:
            rows: of `forward`.
            view: theirs.
            noise: its deviation, relative to `scale`.
            draw: gives standard normal numbers for rows and a width.
        """
        if not noise:
            return rows
        return [x + noise * scale * draw(x, x.shape[1]) for x, scale in zip(rows, self.scale[view], strict=True)]

    def _unit(self, x: Tensor) -> Tensor:
        return F.normalize(x, dim=1) if self.unit_rows else x


def _both(present: Tensor) -> Tensor:
    """Of B x M, how many samples have both of two modalities, M x M."""
    return present.T.double() @ present.double()


def _leading(covariance: Tensor, components: int) -> tuple[Tensor, Tensor]:
    """Variances of the leading principal components, and their directions, d x components; those of no variance are 0.

    Signs are those by which a direction's largest entry is positive.
    """
    if not components:
        return covariance, covariance[:, None][:, :0]
    variances, vectors = torch.linalg.eigh(covariance.cpu())
    variances, vectors = variances.flip(0)[:components], vectors.flip(1)[:, :components]
    kept = variances > variances[0].clamp_min(0) * 1e-10
    signs = vectors.gather(0, vectors.abs().argmax(0, keepdim=True)).sign()
    return (variances * kept).to(covariance), (vectors * signs * kept).to(covariance)
