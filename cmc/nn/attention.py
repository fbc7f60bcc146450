"""Attention of one head, and the two kinds of transformer layers that methods build from it."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from cmc.nn.dropout import RowDropout


class Attention(nn.Module):
    """Scaled dot-product attention of one head: what each row takes from others, by how its query meets their keys.

    Args:
        width: of rows, queries, keys and values.
        dropout: share of the weights that are dropped in training.
    """

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self.query, self.key, self.value, self.out = (nn.Linear(width, width) for _ in range(4))
        self.dropout = RowDropout(dropout)
        self.scale = math.sqrt(width)

    def forward(self, x: Tensor, among: Tensor) -> tuple[Tensor, Tensor]:
        """Give what the rows of x (... x B x width) take from those among them (... x N x width), and the weights.

        The weights, ... x B x N, sum to 1 a row before dropout.
        """
        scores = self.query(x) @ self.key(among).transpose(-1, -2) / self.scale
        weights = self.dropout(scores.softmax(-1))
        return self.out(weights @ self.value(among)), weights


class FeedForward(nn.Sequential):
    """Two linear layers, ReLU and dropout between them.

    Args:
        width: of input and output.
        hidden: between them.
        dropout: share of the units that are dropped in training.
    """

    def __init__(self, width: int, hidden: int, dropout: float) -> None:
        super().__init__(nn.Linear(width, hidden), nn.ReLU(), RowDropout(dropout), nn.Linear(hidden, width))


class PostNormLayer(nn.Module):
    """Attention and a feed-forward network; after each its input is added, and the sum normalised.

    Args:
        width: of rows.
        hidden: of the feed-forward network.
        dropout: share that is dropped of weights, units and what is added.

    Source: Vaswani et al., *Attention Is All You Need*, NeurIPS 2017.
    """

    def __init__(self, width: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.attention = Attention(width, dropout)
        self.feed_forward = FeedForward(width, hidden, dropout)
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(2))
        self.dropout = RowDropout(dropout)

    def forward(self, x: Tensor, among: Tensor) -> tuple[Tensor, Tensor]:
        """Map rows, given those that they attend to; give the weights of the attention, too."""
        taken, weights = self.attention(x, among)
        x = self.norms[0](x + self.dropout(taken))
        return self.norms[1](x + self.dropout(self.feed_forward(x))), weights


class PreNormLayer(nn.Module):
    """Self-attention among the tokens of a sample and a feed-forward network, of normalised input; normalised at last.

    Args:
        width: of tokens.
        hidden: of the feed-forward network.
        dropout: share that is dropped of weights, units and what is added.
    """

    def __init__(self, width: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.attention = Attention(width, dropout)
        self.feed_forward = FeedForward(width, hidden, dropout)
        self.norms = nn.ModuleList(DeviationNorm(width) for _ in range(3))
        self.dropout = RowDropout(dropout)

    def forward(self, tokens: Tensor) -> Tensor:
        """Map B x M x width."""
        x = self.norms[0](tokens)
        tokens = tokens + self.dropout(self.attention(x, x)[0])
        tokens = tokens + self.dropout(self.feed_forward(self.norms[1](tokens)))
        normalised: Tensor = self.norms[2](tokens)
        return normalised


class DeviationNorm(nn.Module):
    """Rows less their mean, divided by their unbiased standard deviation and a little; a learnt scale and shift.

    Args:
        width: of rows, at least 2.
    """

    _LITTLE = 1e-6

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.ones(width)), nn.Parameter(torch.zeros(width))

    def forward(self, x: Tensor) -> Tensor:
        """Normalise the last axis."""
        centred = x - x.mean(-1, keepdim=True)
        return self.weight * centred / (x.std(-1, keepdim=True) + self._LITTLE) + self.bias
