"""Which modalities a method sees as pictures: ``method.encoder``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from typing import Any

from cmc.errors import UserError
from cmc.utils import validate

KINDS = ("mlp", "conv")
Encoders = Mapping[str, Any] | None
Shapes = list[tuple[int, ...] | None]


def shapes_of(encoder: Encoders, dims: Mapping[str, int]) -> Shapes:
    """The shape of each modality's pictures, None where its rows are none.

    Args:
        encoder: modality -> ``mlp``, or (H, W) or (H, W, C).
        dims: modality -> width.

    Raises:
        UserError: a modality that is not there; a shape that is none, or not that of the rows; ``conv``, where nothing
            tells a shape.
    """
    for name, kind in (encoder or {}).items():
        key = f"method.encoder.{name}"
        if name not in dims:
            raise UserError(f"{key}: no modality of this name; there are {', '.join(dims)}")
        if kind == "mlp":
            continue
        if kind == "conv":
            raise UserError(
                f"{key}: conv given, but nothing tells that rows of {name} are pictures; give their shape, [H,W] or "
                "[H,W,C], or mlp"
            )
        shape: list[Any] = list(kind) if validate.is_list(kind) else []
        is_shape = len(shape) in (2, 3) and all(validate.is_whole(n, 1) for n in shape)
        validate.require(key, kind, is_shape, "mlp, conv, or the shape of a picture, [H,W] or [H,W,C]")
        if prod(shape) != dims[name]:
            raise UserError(
                f"{key}: {kind} given, which is {prod(shape)} numbers, but rows of {name} have {dims[name]}"
            )
    given = {name: tuple(kind) for name, kind in (encoder or {}).items() if kind != "mlp"}
    return [given.get(name) for name in dims]


def resolved(encoder: Encoders, shapes: Mapping[str, Sequence[int]]) -> dict[str, Any]:
    """``method.encoder`` with shapes in the place of ``conv``, where the data tell them."""
    return {
        name: list(shapes[name]) if kind == "conv" and name in shapes else kind
        for name, kind in (encoder or {}).items()
    }
