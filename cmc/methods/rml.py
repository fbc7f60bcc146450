"""RML: one code of all modalities that two corrupted copies of a batch share."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import Optimizer

from cmc import distributed
from cmc.data.loader import Batch
from cmc.functional.contrastive import nt_xent
from cmc.functional.corruption import draw_noise, drop_modalities
from cmc.methods.demands import check_phases, check_weights, check_widths
from cmc.methods.fused import Fused
from cmc.nn.attention import PreNormLayer
from cmc.nn.dropout import RowDropout
from cmc.nn.kmeans_head import KMeansHead, check_kmeans
from cmc.nn.precision import full_precision, to_float32
from cmc.utils import validate


class RML(Fused):
    r"""Robust multi-view learning from fused codes under simulated corruption.

    A network a modality makes a token of it; the M tokens of a sample attend to one another in a transformer layer, and
    a linear layer of their sum is the fused code Z, of unit length. One phase, ``train``, of one term:

    - ``contrast``: 2 NTX(Z of a noised copy of the batch, Z of a masked copy; tau).

    In the masked copy a share ``missing`` of the samples lose some of their modalities, whose features are set to 0;
    each keeps at least one (`cmc.functional.corruption`). In the noised copy every modality of every sample has, with
    probability ``noisy``, normal noise of deviation ``noise`` added. No term compares modalities, and none
    reconstructs.

    The network of a token has as many weights as its modality's width squared.

    Clusters are those of k-means on Z of the data as they are. A modality that is missing is set to 0, as in training.

    Source: Xu et al., *Robust Multi-View Learning via Representation Fusion of Sample-Level Attention and Alignment of
    Simulated Perturbation*, arXiv 2503.04151. The release counts steps, from 400 to 200,000 by data set; its shares are
    .25, .5 or .75 by data set. Ours are 150 epochs, about a thousand steps of 1,800 samples, and .25. It draws each
    batch anew from all samples, ours are those of shuffled epochs.

    Args:
        dims: modality -> width.
        n_clusters: K.
        phases: ``train``.
        optimizer: a function of the parameters.
        batch_size: the global batch.
        drop_last: leave an incomplete last batch out.
        token_dim: width of tokens and of Z.
        attention_hidden: width between the two linear layers of the transformer layer.
        token_dropout: of the networks of the tokens.
        dropout: of the transformer layer.
        missing: share of the samples that lose modalities.
        noisy: share of the modalities of samples that have noise added.
        noise: its deviation.
        temperature: of the contrast.
        kmeans_restarts: starts of k-means.
        seed: of k-means.
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
        batch_size: int | str = 256,
        drop_last: bool = False,
        token_dim: int = 256,
        attention_hidden: int = 2048,
        token_dropout: float = 0.2,
        dropout: float = 0.3,
        missing: float = 0.25,
        noisy: float = 0.25,
        noise: float = 0.4,
        temperature: float = 0.5,
        kmeans_restarts: int = 10,
        seed: int = 0,
        gradient_clip: float | None = None,
    ) -> None:
        check_widths((), attention_hidden=attention_hidden)
        validate.whole("method.token_dim", token_dim, least=2)
        check_weights(noise=noise)
        for key, share in (("token_dropout", token_dropout), ("dropout", dropout)):
            validate.share(f"method.{key}", share)
        for key, share in (("missing", missing), ("noisy", noisy)):
            validate.require(f"method.{key}", share, 0 <= share <= 1, "a share from 0 to 1")
        validate.number("method.temperature", temperature, above=0)
        check_kmeans(kmeans_restarts, seed)
        check_phases("rml", phases, ("train",))
        super().__init__(dims, n_clusters, phases, optimizer, batch_size, drop_last, gradient_clip=gradient_clip)
        self.missing, self.noisy, self.noise, self.temperature = missing, noisy, noise, temperature
        self.widths = list(dims.values())
        self.tokens = nn.ModuleList(_token(d, token_dim, token_dropout) for d in dims.values())
        self.fusion = PreNormLayer(token_dim, attention_hidden, dropout)
        self.fused_head = nn.Linear(token_dim, token_dim)
        self.head = KMeansHead([token_dim], n_clusters, kmeans_restarts, seed)

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """The contrast of the two copies."""
        noised, masked = self._fused(self._tokens(self._noised(batch))), self._fused(self._tokens(self._masked(batch)))
        with full_precision(self.device):
            among = distributed.all_gather_rows(noised), distributed.all_gather_rows(masked)
            return {"contrast": 2 * nt_xent(noised, masked, self.temperature, among, batch.offset)}

    def _noised(self, batch: Batch) -> list[Tensor]:
        own = slice(batch.offset, batch.offset + batch.size)
        return [x + draw_noise(batch.total, x, self.noisy, self.noise)[own] for x in batch.modalities]

    def _masked(self, batch: Batch) -> list[Tensor]:
        kept = drop_modalities(batch.total, len(self.modalities), self.missing)
        here = kept[:, batch.offset : batch.offset + batch.size].to(batch.modalities[0].device)
        return [x * own[:, None] for x, own in zip(batch.modalities, here, strict=True)]

    def _tokens(self, rows: Sequence[Tensor]) -> list[Tensor]:
        return [network(x) for network, x in zip(self.tokens, rows, strict=True)]

    def _fused(self, tokens: list[Tensor]) -> Tensor:
        """Give Z of the tokens, B x token_dim."""
        together = self.fusion(torch.stack(tokens, 1)).sum(1)
        return F.normalize(to_float32(self.fused_head(together)), dim=1)

    def encode(self, batch: Batch) -> list[Tensor]:
        """The token of every modality, B x token_dim."""
        return self._tokens(batch.modalities)

    def fuse(self, encoded: list[Tensor], present: Tensor | None = None) -> Tensor:
        """Give Z, where the features of missing modalities are 0."""
        if present is not None:
            empty = self._tokens([self.fused_head.weight.new_zeros(1, width) for width in self.widths])
            each = zip(encoded, empty, present, strict=True)
            encoded = [torch.where(there[:, None], own, none) for own, none, there in each]
        return self._fused(encoded)


def _token(width: int, token_dim: int, dropout: float) -> nn.Sequential:
    """The network that makes a token of a modality."""
    first, second = nn.Linear(width, width), nn.Linear(width, token_dim)
    return nn.Sequential(first, nn.GELU(), RowDropout(dropout), second, RowDropout(dropout))
