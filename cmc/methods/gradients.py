"""Numbers while training: gradients no longer than a bound, and what is not finite, by name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer


def norm(tensors: Iterable[Tensor]) -> Tensor:
    """The norm of all numbers of all tensors, a scalar where they lie; not finite if any of them is not."""
    total: Tensor = torch.nn.utils.get_total_norm(list(tensors))
    return total


def clip(parameters: Iterable[Tensor], longest: float, scaler: Any = None) -> None:
    """Shorten the gradient of all parameters together to a norm of at most ``longest``; its direction stays.

    The formula is that of ``torch.nn.utils.clip_grad_norm_``; nothing is read back from the device.

    Args:
        parameters: those without a gradient are passed over.
        longest: the bound.
        scaler: a ``torch.amp.GradScaler`` by whose scale the gradients are too long as yet; the bound is on what they
            will be without it.
    """
    trained = [p for p in parameters if p.grad is not None]
    length = norm(p.grad for p in trained if p.grad is not None)
    if scaler is not None:
        length = length / scaler.scale(torch.ones_like(length))
    torch.nn.utils.clip_grads_with_norm_(trained, longest, length)


def drop_vanishing(optimizer: Optimizer) -> None:
    """Set means of Adam below 1e-32 to 0, before they become denormal numbers, with which CPUs compute slowly.

    A weight without a gradient (a pixel that is always 0, a unit that never fires) leaves a mean that shrinks by a
    tenth a step, and as a denormal number stays for good. What is dropped here moves no weight: Adam's epsilon is 1e-8.
    """
    for name, x in optimizer_numbers([{"state": optimizer.state}]):
        if name == "exp_avg":
            x.copy_(torch.nn.functional.hardshrink(x, 1e-32))


def not_finite(named: Iterable[tuple[str, Tensor]]) -> tuple[str, float] | None:
    """The name of the first tensor that holds a number which is not finite, and that number; None if none does."""
    named = list(named)
    if norm(x for _, x in named).isfinite():
        return None
    for name, x in named:  # a norm may overflow where no number does
        if not (finite := x.isfinite()).all():
            return name, x[~finite].view(-1)[0].item()
    return None


def optimizer_numbers(states: Iterable[Mapping[str, Any]]) -> Iterable[tuple[str, Tensor]]:
    """What optimisers remember of parameters, by the names of ``torch.optim``: ``exp_avg_sq`` and the like.

    Args:
        states: state dicts of optimisers.
    """
    for state in states:
        for remembered in state.get("state", {}).values():
            for name, x in remembered.items():
                if isinstance(x, Tensor) and x.is_floating_point() and x.numel():
                    yield name, x
