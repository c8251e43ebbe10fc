"""How long the parts of a network take; what lies between them is named, not spread."""

import random
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

from torch import nn

from bench.metrics.cost.parts import REST, Part, parts
from bench.metrics.latency import NANO, no_collecting

Clock = Callable[[], int]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class PartTimes:
    """Seconds of a call, part by part; `parts` and `unexplained` add up to `whole`.

    Medians of parts do not add up to the median of the whole: their sum can even exceed it. So
    all are means, over the same calls: the middle half of the watched ones, by their whole times.
    Means add up; and calls that something interrupted, which take longer, are not among these.
    """

    parts: dict[Part, float]
    unexplained: float
    """What is in no part: resizing and concatenation, solvers' loops between calls, watching.

    Never negative, as the parts of a call lie within it and beside each other.
    """
    whole: float
    untimed_parts: float
    """The same mean of calls whose parts were not watched: what that costs is the difference."""


def part_times(
    calls: Mapping[str, tuple[nn.Module, Callable[[], object]]],
    *,
    repeats: int,
    warmup: int,
    rng: random.Random,
    clock: Clock,
) -> dict[str, PartTimes]:
    """Time networks part by part, by hooks at the borders of their parts, taking turns.

    Args:
        calls: By name, a network and a call of it without arguments.
        repeats: Rounds that count; each network is called twice in each, watched and not.
        warmup: Rounds before them that do not.
        rng: Draws the order of each round.
        clock: Nanoseconds; waits for the device first, where there is one.
    """
    seen: dict[str, list[dict[Part, int]]] = {name: [] for name in calls}
    plain: dict[str, list[int]] = {name: [] for name in calls}
    with no_collecting():
        for turn in range(-warmup, repeats):
            order = [(name, watched) for name in calls for watched in (False, True)]
            rng.shuffle(order)
            for name, watched in order:
                network, call = calls[name]
                times: dict[Part, int] = {}
                with _watching(network, times, clock) if watched else _nothing():
                    start = clock()
                    call()
                    times[WHOLE] = clock() - start
                if turn >= 0 and watched:
                    seen[name].append(times)
                elif turn >= 0:
                    plain[name].append(times[WHOLE])
    return {name: _summed_up(seen[name], plain[name]) for name in calls}


WHOLE = Part("whole", "whole")


def _summed_up(seen: list[dict[Part, int]], plain: list[int]) -> PartTimes:
    names = dict.fromkeys(part for times in seen for part in times if part is not WHOLE)
    middle = _middle_half(seen, key=lambda times: times[WHOLE])
    totals = {part: sum(times.get(part, 0) for times in middle) for part in names}
    whole = sum(times[WHOLE] for times in middle)
    rest = whole - sum(totals.values())  # of whole nanoseconds: never below 0 by rounding
    usual = _middle_half(plain, key=lambda elapsed: elapsed)
    return PartTimes(
        {part: total / len(middle) * NANO for part, total in totals.items()},
        rest / len(middle) * NANO,
        whole / len(middle) * NANO,
        sum(usual) / len(usual) * NANO,
    )


def _middle_half(calls: list[T], key: Callable[[T], int]) -> list[T]:
    """Return the calls without the shortest and the longest quarter."""
    cut = len(calls) // 4
    return sorted(calls, key=key)[cut : len(calls) - cut]


@contextmanager
def _nothing() -> Iterator[None]:
    yield


@contextmanager
def _watching(network: nn.Module, times: dict[Part, int], clock: Clock) -> Iterator[None]:
    """Add up, while the body runs, the time between entering and leaving each part."""
    owners = parts(network)
    inside: list[nn.Module] = []
    entered = 0

    def enter(module: nn.Module, args: object) -> None:
        nonlocal entered
        if not inside:
            entered = clock()
        inside.append(module)

    def leave(module: nn.Module, args: object, output: object) -> None:
        inside.pop()
        if not inside:
            part = owners[id(module)]
            times[part] = times.get(part, 0) + clock() - entered

    hooks = []
    for module in network.modules():
        if owners[id(module)] is not REST:
            hooks.append(module.register_forward_pre_hook(enter))
            hooks.append(module.register_forward_hook(leave))
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
