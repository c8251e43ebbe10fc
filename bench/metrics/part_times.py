"""How long the parts of a network take; what lies between them is named, not spread."""

import random
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from torch import nn

from bench.metrics.cost.parts import REST, Part, parts
from bench.metrics.latency import NANO, no_collecting

Clock = Callable[[], int]


@dataclass(frozen=True, slots=True)
class PartTimes:
    """Seconds of one call, part by part; `parts` and `unexplained` add up to `whole`."""

    parts: dict[Part, float]
    """Median over repeats."""
    whole: float
    """Median over repeats."""
    untimed_parts: float
    """Median of the call without watching its parts: what the watching costs is the difference."""

    @property
    def unexplained(self) -> float:
        """What is in no part: resizing and concatenation, solvers' loops between calls, watching.

        Medians do not add up exactly, so that it holds their difference too.
        """
        return self.whole - sum(self.parts.values())


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
    names = dict.fromkeys(part for times in seen for part in times)
    medians = {
        part: float(np.median([times.get(part, 0) for times in seen])) * NANO for part in names
    }
    whole = medians.pop(WHOLE)
    return PartTimes(medians, whole, float(np.median(plain)) * NANO)


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
