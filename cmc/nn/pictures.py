"""Small convolutional networks for modalities whose rows are pictures."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from torch import Tensor, nn

CHANNELS = (32, 64)  # of the convolutions, each of stride 2
_HIDDEN = 256  # units between them and the code


class PictureEncoder(nn.Module):
    """Two convolutions of stride 2 and two linear layers, ReLU between them: B x (H W C) to B x ``out``.

    Args:
        shape: (H, W) or (H, W, C), by which a row is a picture.
        out: width of the code.
    """

    def __init__(self, shape: Sequence[int], out: int) -> None:
        super().__init__()
        self.shape = height, width, channels = full_shape(shape)
        first, second = CHANNELS
        self.convolutions = nn.Sequential(
            nn.Conv2d(channels, first, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(first, second, 3, stride=2, padding=1),
            nn.ReLU(),
        )
        n = second * halved(halved(height)) * halved(halved(width))
        self.linears = nn.Sequential(nn.Linear(n, _HIDDEN), nn.ReLU(), nn.Linear(_HIDDEN, out))

    def forward(self, rows: Tensor) -> Tensor:
        """Map rows to codes."""
        pictures = rows.reshape(len(rows), *self.shape).permute(0, 3, 1, 2)
        codes: Tensor = self.linears(self.convolutions(pictures).flatten(1))
        return codes


class PictureDecoder(nn.Module):
    """The mirror of `PictureEncoder`: B x ``code`` to B x (H W C), nothing after the last layer.

    Args:
        shape: (H, W) or (H, W, C).
        code: width of the code.
    """

    def __init__(self, shape: Sequence[int], code: int) -> None:
        super().__init__()
        height, width, channels = full_shape(shape)
        first, second = CHANNELS
        middle, small = (halved(height), halved(width)), (halved(halved(height)), halved(halved(width)))
        self._small = (second, *small)
        self.linears = nn.Sequential(
            nn.Linear(code, _HIDDEN), nn.ReLU(), nn.Linear(_HIDDEN, prod(self._small)), nn.ReLU()
        )
        self.convolutions = nn.Sequential(
            nn.ConvTranspose2d(second, first, 3, 2, 1, output_padding=_more(small, middle)),
            nn.ReLU(),
            nn.ConvTranspose2d(first, channels, 3, 2, 1, output_padding=_more(middle, (height, width))),
        )

    def forward(self, codes: Tensor) -> Tensor:
        """Map codes to rows."""
        pictures: Tensor = self.convolutions(self.linears(codes).unflatten(1, self._small))
        return pictures.permute(0, 2, 3, 1).flatten(1)


def full_shape(shape: Sequence[int]) -> tuple[int, int, int]:
    """(H, W, C) of (H, W) or (H, W, C)."""
    height, width, *channels = shape
    return height, width, (channels or [1])[0]


def halved(length: int) -> int:
    """What a convolution of stride 2 leaves of it."""
    return (length + 1) // 2


def _more(small: Sequence[int], large: Sequence[int]) -> tuple[int, int]:
    """What the transpose of a convolution must add to give these sizes: 0 or 1."""
    height, width = (b - (2 * a - 1) for a, b in zip(small, large, strict=True))
    return height, width
