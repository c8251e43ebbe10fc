"""Timing both trees taking turns."""

import contextlib
import math
from collections.abc import Iterable
from typing import Protocol

from bench.regression.judge import Pair, Side
from bench.regression.tree import Absent, Fault, Listed
from bench.regression.trees import Trees, asked_of

SAMPLE_S = 0.01
"""Quick calls are repeated within a sample until it lasts so long."""


class Say(Protocol):
    """Told what is being done."""

    def __call__(self, text: str, *, note: bool = False) -> None:
        """Show a text for a while, or keep it in sight as a note."""


def timed_pairs(trees: Trees, timed: Iterable[Listed], rounds: int, say: Say) -> dict[str, Pair]:
    """Time benchmarks, one after the other, in both trees."""
    pairs = {}
    for one in timed:
        say(one.name)
        sides = interleaved(trees, one.name, rounds)
        pairs[one.name] = Pair(one.name, "time", one.unit, **sides)
    return pairs


def interleaved(trees: Trees, name: str, rounds: int) -> dict[str, Side]:
    """Time a benchmark in both trees in rounds of A B B A, every second one B A A B.

    Each round gives two samples of each. A drift of the machine that is steady over a round hits
    both alike.
    """
    first = {
        tree.label: trees.lacking(tree, name) or asked_of(tree, "open", name=name) for tree in trees
    }
    if all(side.samples for side in first.values()):
        slowest = max(side.samples[0] for side in first.values())
        number = max(1, math.ceil(SAMPLE_S / max(slowest, 1e-9)))
        taken: dict[str, list[float]] = {tree.label: [] for tree in trees}
        for turn in range(rounds):
            one, other = (trees.base, trees.head) if turn % 2 == 0 else (trees.head, trees.base)
            for tree in (one, other, other, one):
                side = asked_of(tree, "sample", number=number)
                if not side.samples:
                    return {**first, tree.label: side}
                taken[tree.label] += side.samples
        first = {label: Side(tuple(samples)) for label, samples in taken.items()}
    for tree in trees:
        with contextlib.suppress(Fault, Absent):
            tree.ask("close")
    return first
