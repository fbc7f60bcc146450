"""What processes share: sums and gathers with exact gradients; on one process each of them is the identity."""

from cmc.distributed.collectives import (
    all_gather_rows,
    all_reduce_sum,
    any_rank,
    broadcast,
    check_same,
    is_rank_zero,
    normal,
    rank,
    rows_before,
    shard,
    sum_gradients,
    world_size,
)

__all__ = [
    "all_gather_rows",
    "all_reduce_sum",
    "any_rank",
    "broadcast",
    "check_same",
    "is_rank_zero",
    "normal",
    "rank",
    "rows_before",
    "shard",
    "sum_gradients",
    "world_size",
]
