"""The precision that a run trains in: `resolve` picks it, `full` and `full_precision` keep losses out of it."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path

import torch
from torch import Tensor


def resolve(asked: str | int, device: torch.device, trained: bool = True) -> str | int:
    """What ``auto`` means on a device; anything else is what it is.

    A method that is trained by gradients is then trained in bf16-mixed where the device multiplies bfloat16 matrices
    several times as fast as float32 ones: CPUs with AMX, and CUDA from compute capability 8.0 on. All else is computed
    in float32. docs/speed.md has the measurements.

    Args:
        asked: ``trainer.precision``.
        device: that the run trains on.
        trained: whether the method is trained by gradients.
    """
    if asked != "auto":
        return asked
    return "bf16-mixed" if trained and _multiplies_bfloat16(device) else "32-true"


def _multiplies_bfloat16(device: torch.device) -> bool:
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    return device.type == "cpu" and _has_amx()


def _has_amx() -> bool:
    try:
        return "amx_bf16" in Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return False


def to_float32(x: Tensor) -> Tensor:
    """The tensor in float32 if it has half of its bits, else as it is."""
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x


def full_precision(device: torch.device) -> AbstractContextManager[object]:
    """Where objectives are computed: no product in here is rounded to what the networks are trained in."""
    return torch.autocast(device.type, enabled=False)
