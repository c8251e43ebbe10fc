"""How long every part of some backbones takes, alone on the machine."""

import functools
import random
import time
from collections.abc import Callable

import torch

from bench.api import Cell, Context, Kind, Outcome, Row, register
from bench.metrics.latency import synchronizer
from bench.metrics.part_times import PartTimes, part_times
from bench.seeds import seed_of
from bench.tasks.books import BLOCK, WHOLE
from bench.tasks.networks import one_input, sound_network
from bench.tasks.timing import Faulty, attempt, conditions, named, without_faulty

UNEXPLAINED = "unexplained"
Called = tuple[torch.nn.Module, Callable[[], object]]
"""A network, and a call of it without arguments."""


@register(Kind.TASK, "block_times", source="ours: the time of a call part by part")
def block_times(cell: Cell, context: Context) -> Outcome:
    """Measure the time of every part; the rest is a row of its own, and all add up.

    A network that cannot be timed has one row, which says why.
    """
    spec = cell.spec
    with conditions(spec, context) as about:
        size = {"channels": spec["channels"], "image_size": spec["image_size"]}
        inputs = tuple(x.to(context.device) for x in one_input(*size.values(), batch=spec["batch"]))

        def ready(network: Row) -> Called:
            built = sound_network(context, network, **size).to(context.device)
            call = functools.partial(_forward, built, inputs)
            call()
            return built, call

        asked = [attempt(functools.partial(ready, one), one) for one in spec["backbone"]]
        without_faulty(asked)
        keys = [f"{n} {network['name']}" for n, network in enumerate(spec["backbone"])]
        calls = {
            key: one for key, one in zip(keys, asked, strict=True) if not isinstance(one, Faulty)
        }
        found = part_times(
            calls,
            repeats=spec["repeats"],
            warmup=spec["warmup"],
            rng=random.Random(seed_of("block_times", keys)),
            clock=_clock(context.device),
        )
    rows: list[Row] = []
    for key, network, one in zip(keys, spec["backbone"], asked, strict=True):
        if isinstance(one, Faulty):
            rows.append(one.row)
        else:
            shared = {**named(network), **about, "fault": ""}
            rows += [{**shared, **row} for row in _rows(found[key])]
    return Outcome(rows)


def _rows(times: PartTimes) -> list[Row]:
    named = [(BLOCK, part.name, part.group, seconds) for part, seconds in times.parts.items()]
    named.append((UNEXPLAINED, UNEXPLAINED, UNEXPLAINED, times.unexplained))
    named.append((WHOLE, WHOLE, WHOLE, times.whole))
    return [
        {
            "part": part,
            "block": block,
            "group": group,
            "time_s": seconds,
            "share": seconds / times.whole,
            "unwatched_s": times.untimed_parts if part == WHOLE else None,
        }
        for part, block, group, seconds in named
    ]


def _clock(device: str):
    """Return a clock that waits for the device: its queue has no borders between parts."""
    synchronize = synchronizer(device)
    if synchronize is None:
        return time.perf_counter_ns

    def waited() -> int:
        synchronize()
        return time.perf_counter_ns()

    return waited


@torch.inference_mode()
def _forward(network: torch.nn.Module, inputs: tuple[torch.Tensor, ...]) -> torch.Tensor:
    return network(*inputs)
