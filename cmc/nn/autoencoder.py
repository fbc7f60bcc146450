"""Auto-encoders, one a modality, computed side by side."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cmc.nn.bottleneck import ModalityBatchNorm
from cmc.nn.pictures import PictureDecoder, PictureEncoder

_FEW = 1024  # samples: of more, a product a modality is the faster one (docs/speed.md)


def mlp(widths: Sequence[int], norm: bool = False, last: Sequence[nn.Module] = ()) -> nn.Sequential:
    """Linear layers of the given widths with ReLU between them, and what is given after the last.

    Args:
        widths: input width, hidden widths, output width: at least two numbers.
        norm: batch normalisation before each ReLU, over all processes.
        last: what follows the last layer; nothing by default.
    """
    layers: list[nn.Module] = []
    for i, (n_in, n_out) in enumerate(pairwise(widths)):
        between: list[nn.Module] = [ModalityBatchNorm(n_in, 1)] if norm else []
        layers += [*between, nn.ReLU(inplace=True)] if i else []
        layers.append(nn.Linear(n_in, n_out))
    return nn.Sequential(*layers, *last)


class AutoEncoders(nn.Module):
    """For every modality an encoder of the given widths and the decoder that mirrors it.

    Args:
        dims: widths of the modalities.
        widths: of the hidden layers, and of the code.
        shapes: of the modalities whose rows are pictures, for convolutional networks of their own; None for the others.
    """

    def __init__(self, dims: Iterable[int], widths: Sequence[int], shapes: Sequence[Sequence[int] | None] = ()) -> None:
        super().__init__()
        ways = [[d, *widths] for d in dims]
        if any(shapes):
            both = [
                _of_pictures(shape, way[-1]) if shape else _mlps(way) for way, shape in zip(ways, shapes, strict=True)
            ]
            self.encoder: nn.Module = EachByItself([encoder for encoder, _ in both])
            self.decoder: nn.Module = EachByItself([decoder for _, decoder in both])
            return
        pairs = [_mlps(way) for way in ways]  # in this order their numbers are drawn
        self.encoder = SideBySide([encoder for encoder, _ in pairs])
        self.decoder = SideBySide([decoder for _, decoder in pairs])


def _mlps(way: Sequence[int]) -> tuple[nn.Sequential, nn.Sequential]:
    return mlp(way), mlp(way[::-1])


def _of_pictures(shape: Sequence[int], code: int) -> tuple[nn.Module, nn.Module]:
    return PictureEncoder(shape, code), PictureDecoder(shape, code)


class EachByItself(nn.ModuleList):
    """Networks of any kind, one a modality."""

    def forward(self, rows: Sequence[Tensor]) -> list[Tensor]:
        """Map every modality's rows by its own network."""
        return [network(x) for network, x in zip(self, rows, strict=True)]


class SideBySide(nn.Module):
    """Networks of as many layers, one a modality, computed together: layers of equal widths are one batched product.

    Samples are columns there, for of few samples weights times columns is the faster product. Of many samples each
    modality's are computed by themselves.

    Args:
        networks: made by `mlp`, of linear layers and ReLU alone.
    """

    def __init__(self, networks: Sequence[nn.Sequential]) -> None:
        super().__init__()
        linears = ([layer for layer in network if isinstance(layer, nn.Linear)] for network in networks)
        self.layers = nn.ModuleList(
            BatchedLinear(own) if len({layer.weight.shape for layer in own}) == 1 else SeparateLinear(own)
            for own in zip(*linears, strict=True)
        )

    def forward(self, rows: Sequence[Tensor]) -> list[Tensor]:
        """Map every modality's rows, n x its width, by its own network; their numbers may differ."""
        if len(rows[0]) > _FEW or len({len(x) for x in rows}) > 1:
            return self._one_by_one(rows)
        values: Sequence[Tensor] | Tensor = [x.T for x in rows]
        for i, layer in enumerate(self.layers):
            values = layer(values if i == 0 else _relu(values))
        return [x.T for x in values]

    def _one_by_one(self, rows: Sequence[Tensor]) -> list[Tensor]:
        layers = [(list(layer.weight), list(layer.bias)) for layer in self.layers]  # type: ignore[arg-type]
        results = []
        for m, x in enumerate(rows):
            for i, (weights, biases) in enumerate(layers):
                x = F.linear(F.relu_(x) if i else x, weights[m], biases[m])
            results.append(x)
        return results


def _relu(values: Sequence[Tensor] | Tensor) -> Sequence[Tensor] | Tensor:
    return F.relu_(values) if isinstance(values, Tensor) else [F.relu_(x) for x in values]


class BatchedLinear(nn.Module):
    """M linear layers of the same widths as one.

    Args:
        layers: their weights and biases are copied.
    """

    def __init__(self, layers: Sequence[nn.Linear]) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.stack([layer.weight.detach() for layer in layers]))
        self.bias = nn.Parameter(torch.stack([layer.bias.detach() for layer in layers]))

    def forward(self, columns: Sequence[Tensor] | Tensor) -> Tensor:
        """Map M x width x B, each by its own layer."""
        x = columns if isinstance(columns, Tensor) else torch.stack(list(columns))
        return torch.baddbmm(self.bias.unsqueeze(2), self.weight, x)


class SeparateLinear(nn.Module):
    """M linear layers of any widths.

    Args:
        layers: theirs are the weights and biases.
    """

    def __init__(self, layers: Sequence[nn.Linear]) -> None:
        super().__init__()
        self.weight = nn.ParameterList(layer.weight for layer in layers)
        self.bias = nn.ParameterList(layer.bias for layer in layers)

    def forward(self, columns: Sequence[Tensor] | Tensor) -> list[Tensor]:
        """Map every width x B by its own layer."""
        layers = zip(self.weight, self.bias, columns, strict=True)
        return [torch.addmm(bias.unsqueeze(1), weight, x) for weight, bias, x in layers]
