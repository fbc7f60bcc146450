"""Networks of one shape as one computation: their parameters stacked, each operation one for all of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextvars import ContextVar
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn
from torch.func import functional_call

_stacking: ContextVar[bool] = ContextVar("stacking", default=False)
Arguments: TypeAlias = "Tensor | Sequence[Tensor] | None"


def stacked(
    function: Callable[..., dict[str, Tensor]], modules: Sequence[nn.Module], arguments: Sequence[tuple[Arguments, ...]]
) -> list[dict[str, Tensor]]:
    """What a function gives for each of several modules, computed at once; gradients and buffers reach each of them.

    Args:
        function: of a module and what it is given; it draws no random numbers, and reads none from the device.
        modules: R of one shape.
        arguments: of each; of one structure, shape and dtype.

    Returns:
        R times what the function gives.

    Raises:
        RuntimeError: the function does what cannot be done for several at once.
    """
    called = _Called(modules[0], function)
    parameters = {f"module.{name}": torch.stack(x) for name, x in _of_each(modules, nn.Module.named_parameters)}
    buffers = {f"module.{name}": torch.stack(x) for name, x in _of_each(modules, nn.Module.named_buffers)}
    given = tuple(_together(each) for each in zip(*arguments, strict=True))

    def one(state: dict[str, Tensor], own: tuple[Any, ...]) -> dict[str, Tensor]:
        result: dict[str, Tensor] = functional_call(called, state, own)
        return result

    where = (0, tuple(None if x is None else 0 for x in given))
    stacking = _stacking.set(True)
    try:
        found = torch.vmap(one, in_dims=where, randomness="error")({**parameters, **buffers}, given)
    finally:
        _stacking.reset(stacking)
    with torch.no_grad():
        for r, module in enumerate(modules):
            for name, buffer in module.named_buffers():
                buffer.copy_(buffers[f"module.{name}"][r])
    return [{name: x[r] for name, x in found.items()} for r in range(len(modules))]


def shapes(arguments: Sequence[Arguments]) -> Iterator[tuple[torch.Size, int]]:
    """The shape of every tensor, and the bytes of its numbers."""
    for argument in arguments:
        for x in () if argument is None else (argument,) if isinstance(argument, Tensor) else argument:
            yield x.shape, x.element_size()


def is_stacking() -> bool:
    """Whether what is computed is computed for several modules at once."""
    return _stacking.get()


class _Called(nn.Module):
    """A function of a module, as a module."""

    def __init__(self, module: nn.Module, function: Callable[..., dict[str, Tensor]]) -> None:
        super().__init__()
        self.module = module
        self._function = function

    def forward(self, *given: Any) -> dict[str, Tensor]:
        """What the function gives."""
        return self._function(self.module, *given)


def _of_each(
    modules: Sequence[nn.Module], named: Callable[[nn.Module], Iterator[tuple[str, Tensor]]]
) -> Iterator[tuple[str, list[Tensor]]]:
    """The tensors of one name of all modules, name by name."""
    for each in zip(*(named(module) for module in modules), strict=True):
        yield each[0][0], [x for _, x in each]


def _together(each: Sequence[Any]) -> Any:
    """Tensors of several as one, with a dimension in front."""
    if each[0] is None:
        return None
    if isinstance(each[0], Tensor):
        return torch.stack(list(each))
    return [torch.stack(list(tensors)) for tensors in zip(*each, strict=True)]
