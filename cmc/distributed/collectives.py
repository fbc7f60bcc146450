"""What processes share: sums and gathers with exact gradients; on one process each of them is the identity.

Every process computes a share of the objective, and the shares add up. A collective is then one operation of a graph
that spans all processes, and its gradient is its adjoint: that of a sum over processes is the sum of the gradients,
that of a gather is the sum of the gradients with respect to this process's rows. Gradients of parameters are summed.

``torch.distributed.nn.functional`` has sums and gathers with gradients, too, but PyTorch 2.13 deprecates it in favour
of ``torch.distributed._functional_collectives``, which is private; and neither gathers tensors of different lengths.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from cmc.errors import UserError


def world_size() -> int:
    """How many processes there are."""
    return dist.get_world_size() if _is_on() else 1


def rank() -> int:
    """Which of them this is, from 0."""
    return dist.get_rank() if _is_on() else 0


def is_rank_zero() -> bool:
    """Whether this process writes the run folder; known before the processes have met."""
    if _is_on():
        return rank() == 0
    known = ("RANK", "SLURM_PROCID", "LOCAL_RANK")
    return int(os.environ.get("NODE_RANK", 0)) == 0 and not int(
        next((os.environ[k] for k in known if k in os.environ), 0)
    )


def shard(start: int, stop: int) -> tuple[int, int]:
    """This process's part of the rows start..stop-1; parts differ in size by at most 1 and follow each other."""
    n, r, size = stop - start, rank(), world_size()
    return start + n * r // size, start + n * (r + 1) // size


def all_reduce_sum(x: Tensor) -> Tensor:
    """The sum over processes of tensors of one shape, with gradients."""
    return _AllReduceSum.apply(x) if world_size() > 1 else x  # type: ignore[no-untyped-call]


def all_gather_rows(x: Tensor) -> Tensor:
    """The rows of all processes in the order of their ranks, with gradients; numbers of rows may differ."""
    return _AllGatherRows.apply(x) if world_size() > 1 else x  # type: ignore[no-untyped-call]


def broadcast(x: Tensor) -> Tensor:
    """The tensor of process 0, for all; its shape and dtype must be the same everywhere."""
    if world_size() > 1:
        x = x.contiguous()
        dist.broadcast(x, 0)
    return x


def any_rank(flags: Sequence[bool], device: torch.device) -> list[bool]:
    """For each of the flags, whether it is set on any process."""
    if world_size() == 1:
        return list(flags)
    return [count > 0 for count in all_reduce_sum(torch.tensor(flags, dtype=torch.float32, device=device)).tolist()]


def normal(like: Tensor, width: int, n: int, offset: int) -> Tensor:
    """Standard normal numbers for this process's rows of a batch: the same for a row on any number of processes.

    Args:
        like: B rows, whose number, dtype and device the result has.
        width: of the result.
        n: rows of all processes together.
        offset: of this process's first row.
    """
    return torch.randn(n, width, dtype=like.dtype, device=like.device)[offset : offset + len(like)]


def rows_before(x: Tensor) -> tuple[int, int]:
    """How many rows all processes have of a tensor, and how many of them those of lower rank."""
    if world_size() == 1:
        return len(x), 0
    sizes = torch.zeros(world_size(), dtype=torch.int64, device=x.device)
    sizes[rank()] = len(x)
    dist.all_reduce(sizes)
    return int(sizes.sum()), int(sizes[: rank()].sum())


def sum_gradients(parameters: Iterable[Tensor]) -> None:
    """Replace every gradient by its sum over processes, in one message."""
    if world_size() == 1:
        return
    gradients = [p.grad for p in parameters if p.grad is not None]
    flat = torch.cat([g.flatten() for g in gradients])
    dist.all_reduce(flat)
    start = 0
    for gradient in gradients:
        gradient.copy_(flat[start : start + gradient.numel()].view_as(gradient))
        start += gradient.numel()


def check_same(fingerprint: str, device: torch.device) -> None:
    """Refuse data that differ between processes.

    Raises:
        UserError: the first rank whose data are not those of rank 0.
    """
    if world_size() == 1:
        return
    own = torch.tensor(list(bytes.fromhex(fingerprint)), dtype=torch.uint8, device=device)
    every = [torch.empty_like(own) for _ in range(world_size())]
    dist.all_gather(every, own)
    for other, seen in enumerate(every):
        if not torch.equal(seen, every[0]):
            raise UserError(
                f"data: rank {other} reads other data than rank 0 (fingerprints {_hex(seen)} and {_hex(every[0])}); "
                "give all machines the same files"
            )


def _hex(x: Tensor) -> str:
    return bytes(x.tolist()).hex()


def _is_on() -> bool:
    return dist.is_available() and dist.is_initialized()


class _AllReduceSum(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        x = x.detach().clone(memory_format=torch.contiguous_format)
        dist.all_reduce(x)
        return x

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        gradient = gradient.clone(memory_format=torch.contiguous_format)
        dist.all_reduce(gradient)
        return gradient


class _AllGatherRows(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        sizes = torch.zeros(world_size(), dtype=torch.int64, device=x.device)
        sizes[rank()] = len(x)
        dist.all_reduce(sizes)
        ctx.sizes = sizes.tolist()
        padded = x.new_zeros(max(ctx.sizes), *x.shape[1:])
        padded[: len(x)] = x
        every = [torch.empty_like(padded) for _ in ctx.sizes]
        dist.all_gather(every, padded)
        return torch.cat([part[:size] for part, size in zip(every, ctx.sizes, strict=True)])

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        gradient = gradient.clone(memory_format=torch.contiguous_format)
        dist.all_reduce(gradient)
        start = sum(ctx.sizes[: rank()])
        return gradient[start : start + ctx.sizes[rank()]]
