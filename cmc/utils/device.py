"""Where tensors are laid, outside of training: there Lightning's Trainer decides."""

from __future__ import annotations

import torch

from cmc.errors import UserError


def pick(device: str) -> torch.device:
    """The device of that name; ``auto`` is an accelerator where there is one, else the CPU.

    Raises:
        UserError: it is not there.
    """
    if device == "auto":
        device = str(torch.accelerator.current_accelerator()) if torch.accelerator.is_available() else "cpu"
    try:
        return torch.empty(0, device=device).device
    except (RuntimeError, AssertionError):
        raise UserError(f"device {device!r} is not there: give auto, cpu, or one that torch sees here") from None
