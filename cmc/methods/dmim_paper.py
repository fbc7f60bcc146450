"""DMIM as the paper has it: its equations, its schedule, and nothing that `cmc.methods.dmim` adds to make it stable."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from cmc.methods.dmim import DMIM
from cmc.nn.bottleneck import BottleneckNetwork, initialise_normal


class PaperDMIM(DMIM):
    """DMIM's equations and nothing else.

    - One network. Features come in as they are, through a projection where their width is not the encoder's. Weights
      start from N(0, 0.02^2), biases from 0.
    - L1 is the sum over pairs of modalities, also for more than two.
    - gamma of 1/2, 500 epochs of all samples at a learning rate of 5e-4.

    Reconstructed, as in `DMIM`: heads read z; beta, 1 / width, rises from 0 over the first fifth; batch norm keeps
    statistics for each modality.

    Source: Mao et al., AAAI 2021.

    Args:
        dims: modality -> width.
        n_clusters: K.
        phases: ``train``.
        optimizer: a function of the parameters.
        scheduler: a function of the optimiser, stepped once an epoch; None keeps the learning rate.
        batch_size: the global batch, ``"full"`` for all samples.
        drop_last: leave an incomplete last batch out.
        width: of the shared encoder and of z.
        depth: blocks of the encoder.
        overcluster_factor: clusters of the over-clustering head, in multiples of K.
        beta: weight of L2.
        beta_warmup: share of the run over which beta rises from 0.
        gamma: weight of L3.
        power: of the assignments that pseudo labels are made from.
        refresh_every: epochs between two sets of pseudo labels.
        gradient_clip: a bound on the norm of the gradient.
        compile: see `cmc.methods.base.Method`.

    Raises:
        UserError: a value outside its range.
    """

    def __init__(
        self,
        dims: Mapping[str, int],
        n_clusters: int,
        phases: Mapping[str, Mapping[str, Any]],
        optimizer: Callable[[Iterable[Tensor]], Optimizer],
        scheduler: Callable[[Optimizer], LRScheduler] | None = None,
        batch_size: int | str = "full",
        drop_last: bool = True,
        width: int = 100,
        depth: int = 2,
        overcluster_factor: int = 10,
        beta: float = 0.01,
        beta_warmup: float = 0.2,
        gamma: float = 0.5,
        power: float = 10.0,
        refresh_every: int = 5,
        gradient_clip: float | None = None,
        compile: bool = False,
    ) -> None:
        super().__init__(
            dims,
            n_clusters,
            phases,
            optimizer,
            scheduler,
            batch_size,
            drop_last,
            width=width,
            depth=depth,
            overcluster_factor=overcluster_factor,
            unit_rows=False,
            candidates={"plain": {}},
            restarts=1,
            validation=0.0,
            beta=beta,
            beta_warmup=beta_warmup,
            gamma=gamma,
            power=power,
            refresh_every=refresh_every,
            gradient_clip=gradient_clip,
            compile=compile,
        )

    def _network(self, widths: list[int], depth: int, n_over: int) -> BottleneckNetwork:
        network = BottleneckNetwork(widths, self.width, self.n_clusters, n_over, depth, project_all=False)
        return network.apply(initialise_normal)

    def _per_modality(self, information: Tensor) -> Tensor:
        return information
