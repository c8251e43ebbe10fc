"""Evaluations of the right-hand sides of a network's ODEs, counted as they are made."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from bench.api import Invalid


def right_hand_sides(module: nn.Module) -> list[nn.Module]:
    """Return the right-hand sides of a continuous network's ODEs, each once; else none."""
    listing = getattr(module, "fields", None)
    if not callable(listing) or not callable(getattr(module, "trace", None)):
        return []
    return list(dict.fromkeys(each for each, _ in listing() if isinstance(each, nn.Module)))


@contextmanager
def watching(
    sides: Iterable[nn.Module], enter: Callable[[], None], leave: Callable[[], None]
) -> Iterator[None]:
    """Call back, while the body runs, before and after every evaluation of a right-hand side."""
    hooks = []
    for side in sides:
        hooks.append(side.register_forward_pre_hook(lambda *_: enter()))
        hooks.append(side.register_forward_hook(lambda *_: leave()))
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


@torch.no_grad()
def evaluations(module: nn.Module, *inputs: Tensor) -> int:
    """Run a network once and return how often it evaluates right-hand sides of ODEs.

    They are counted, not asked for; what the network itself says must be the same.

    Returns:
        The number; 0 for a network without ODEs.

    Raises:
        Invalid: If the network's `trace` gives another number.
    """
    trace, counted, told = getattr(module, "trace", None), 0, 0

    def count() -> None:
        nonlocal counted
        counted += 1

    with watching(right_hand_sides(module), count, lambda: None):
        if callable(trace):
            told = trace(*inputs).nfe
        else:
            module(*inputs)
    if told != counted:
        raise Invalid(
            f"{type(module).__name__}'s trace reports {told} evaluations where {counted} of what "
            "its fields() lists were made; list the module of every right-hand side, and report "
            "every evaluation"
        )
    return counted
