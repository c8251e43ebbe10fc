"""The images that a sampler ends with."""

from collections import deque
from collections.abc import Iterable

from torch import Tensor

from bench.api import Estimate, Invalid
from bench.tasks.denoisers import finite


def made(
    states: Iterable[Estimate], x: Tensor, block: range, sampler: str
) -> tuple[Tensor, Estimate]:
    """Return the images of a block, without those that fill its batch, and the state they are of.

    Args:
        states: What the sampler yields; all of it is used up.
        x: The batch that it began with [B,C,H,W].
        block: The numbers of its first images; the others are left out.
        sampler: Its name.

    Raises:
        Invalid: If it yields no state, no image for each of `x`, a NaN or an infinity, or leaves
            noise in them.
    """
    last = next(iter(deque(states, maxlen=1)), None)
    if not isinstance(last, Estimate):
        found = "nothing" if last is None else type(last).__name__
        raise Invalid(f"sampler '{sampler}' yielded {found} at last, expected an Estimate")
    shape = getattr(last.current, "shape", None)
    if shape != x.shape:
        found = type(last.current).__name__ if shape is None else list(shape)
        raise Invalid(
            f"sampler '{sampler}' made {found}, expected {list(x.shape)}: an image of each"
        )
    if last.t != 0:
        raise Invalid(f"sampler '{sampler}' stopped at level {last.t:g}, expected 0: no noise left")
    return finite(last.current[: len(block)], "the generated set", first=block.start), last
