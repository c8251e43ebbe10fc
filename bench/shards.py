"""Shares of one cell's blocks, which other processes make before the cell itself goes through all.

A share is help in advance: its parts are kept (see `bench.parts`), and the cell finds them there
as after an interruption. Whatever a share did not make, the cell makes. So neither its key nor its
record depends on the shares, and none of them has to succeed.
"""

from collections.abc import Callable
from typing import Any, TypeVar

from bench.api import Cell

T = TypeVar("T", bound=Callable[..., Any])
BLOCKS = "blocks_of_cell"
"""What a task that can be helped carries: a function from its cell to its number of blocks."""


def share_of(blocks: int, index: int, shares: int) -> range:
    """Return the blocks of one share of some: contiguous, in order, and equal but for one."""
    return range(index * blocks // shares, (index + 1) * blocks // shares)


def shardable(blocks: Callable[[Cell], int]) -> Callable[[T], T]:
    """Return a decorator which says that a task's work is one `in_parts`, and how long that is.

    Everything before `in_parts` is done once more in every share; nothing after it is.

    Args:
        blocks: Tells of a cell, by its specification alone, how many blocks it has; it may err:
            where the shares begin is decided by the blocks that there are.
    """

    def declare(task: T) -> T:
        setattr(task, BLOCKS, blocks)
        return task

    return declare


def batches(cell: Cell) -> int:
    """Return how many micro-batches the `n` images of a cell are."""
    return count_of(cell.spec["n"], cell.spec["micro_batch"])


def count_of(items: int, size: int) -> int:
    """Return how many blocks of `size` cover some items."""
    return -(-items // size)
