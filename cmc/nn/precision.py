"""The precision that a run trains in: `resolve` picks it, `to_float32` and `full_precision` keep losses out of it."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from cmc.nn.work import Product, share_in

CPUINFO = Path("/proc/cpuinfo")
LARGE = 2**25  # multiply-adds of a product from which AVX512_BF16 gains
WIDE = 256  # and the least width of its layer, at both ends


class Picked(NamedTuple):
    """What a setting stands for, and why: a clause for the log."""

    value: str | int
    why: str


def resolve(
    asked: str | int, device: torch.device, trained: bool = True, step: Sequence[Product] = (), cpuinfo: Path = CPUINFO
) -> Picked:
    """What ``auto`` means on a device; anything else is what it is.

    A method that is trained by gradients is then trained in bf16-mixed where the device multiplies bfloat16 matrices
    several times as fast as float32 ones: CPUs with AMX, and CUDA from compute capability 8.0 on. A CPU with
    AVX512_BF16 alone does so with large matrices only: there, half of a step's multiply-adds must be in such products.
    All else is computed in float32. docs/speed.md has the measurements.

    Args:
        asked: ``trainer.precision``.
        device: that the run trains on.
        trained: whether the method is trained by gradients.
        step: the products of a training step.
        cpuinfo: the file in which Linux says what the processor can do.
    """
    if asked != "auto":
        return Picked(asked, "as configured")
    if not trained:
        return Picked("32-true", "nothing is trained by gradients")
    if device.type == "cuda":
        major, minor = torch.cuda.get_device_capability(device)
        fast = (major, minor) >= (8, 0)
        return Picked("bf16-mixed" if fast else "32-true", f"the GPU is of compute capability {major}.{minor}")
    if device.type != "cpu":
        return Picked("32-true", f"the device is {device.type}")
    flags = _flags(cpuinfo)
    if "amx_bf16" in flags:
        return Picked("bf16-mixed", "the processor has AMX")
    if "avx512_bf16" in flags:
        share = share_in([each for each in step if _is_large(each)], step)
        told = f"the processor has AVX512_BF16, and {share:.0%} of the step is in products large enough for it"
        return Picked("bf16-mixed" if share >= 0.5 else "32-true", told)
    return Picked("32-true", "the processor has neither AMX nor AVX512_BF16")


def _is_large(product: Product) -> bool:
    return min(product.inputs, product.outputs) >= WIDE and product.size >= LARGE


def _flags(cpuinfo: Path) -> frozenset[str]:
    """What the first processor can do, in Linux's words; nothing elsewhere."""
    try:
        lines = cpuinfo.read_text(encoding="utf-8").splitlines()
    except OSError:
        return frozenset()
    return next((frozenset(line.partition(":")[2].split()) for line in lines if line.startswith("flags")), frozenset())


def to_float32(x: Tensor) -> Tensor:
    """The tensor in float32 if it has half of its bits, else as it is."""
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x


def full_precision(device: torch.device) -> AbstractContextManager[object]:
    """Where objectives are computed: no product in here is rounded to what the networks are trained in."""
    return torch.autocast(device.type, enabled=False)
