"""The images that a sampler ends with."""

from collections import deque
from collections.abc import Iterable
from typing import Any

from torch import Tensor, nn

from bench.api import Estimate, Invalid
from bench.tasks.denoisers import finite


def made(
    states: Iterable[Estimate], x: Tensor, block: range, sampler: str, denoiser: Any
) -> tuple[Tensor, Estimate]:
    """Return the images of a block, without those that fill its batch, and the state they are of.

    Args:
        states: What the sampler yields; all of it is used up.
        x: The batch that it began with [B,C,H,W].
        block: The numbers of its first images; the others are left out.
        sampler: Its name.
        denoiser: Whose network it calls.

    Raises:
        Invalid: If it yields no state, no image for each of `x`, a NaN or an infinity, leaves
            noise in them, or says another number of network calls than it made.
    """
    last, seen = _last(states, denoiser)
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
    if seen is not None and seen != last.calls * len(x):
        raise Invalid(
            f"sampler '{sampler}' says {last.calls} network calls and made {seen / len(x):g}; "
            "expected `calls` to count all of them"
        )
    return finite(last.current[: len(block)], "the generated set", first=block.start), last


def _last(states: Iterable[Estimate], denoiser: Any) -> tuple[Estimate | None, int | None]:
    """Return the last state, and how many images the network was given on the way.

    Images and not batches: a sampler may give it a batch in parts. None where the denoiser has no
    network that can be watched.
    """
    network = getattr(getattr(denoiser, "diffusion", None), "backbone", None)
    seen = 0

    def see(_: nn.Module, given: tuple[Tensor, ...]) -> None:
        nonlocal seen
        seen += len(given[0])

    hooks = [network.register_forward_pre_hook(see)] if isinstance(network, nn.Module) else []
    try:
        last = next(iter(deque(states, maxlen=1)), None)
    finally:
        for hook in hooks:
            hook.remove()
    return last, seen if hooks else None
