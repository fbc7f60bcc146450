"""What processes share: sums and gathers with exact gradients; on one process each of them is the identity."""

from cmc.distributed.collectives import (
    anywhere,
    check_same,
    first_process,
    from_first,
    gather,
    normal,
    rank,
    shard,
    sum_gradients,
    total,
    world_size,
)

__all__ = [
    "anywhere",
    "check_same",
    "first_process",
    "from_first",
    "gather",
    "normal",
    "rank",
    "shard",
    "sum_gradients",
    "total",
    "world_size",
]
