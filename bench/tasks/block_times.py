"""How long every part of some backbones takes, alone on the machine."""

import functools
import random
import time

import torch

from bench.api import Cell, Context, Kind, Outcome, Row, register
from bench.metrics.latency import synchronizer
from bench.metrics.part_times import PartTimes, part_times
from bench.seeds import seed_of
from bench.tasks.books import BLOCK, WHOLE
from bench.tasks.latency import pin
from bench.tasks.networks import one_input, sound_network

UNEXPLAINED = "unexplained"


@register(Kind.TASK, "block_times", source="ours: the time of a call part by part")
def block_times(cell: Cell, context: Context) -> Outcome:
    """Measure the median time of every part; the rest is a row of its own."""
    spec = cell.spec
    threads = pin(spec, context)
    size = {"channels": spec["channels"], "image_size": spec["image_size"]}
    inputs = tuple(x.to(context.device) for x in one_input(*size.values(), batch=spec["batch"]))
    calls = {}
    for network in spec["backbone"]:
        built = sound_network(context, network, **size).to(context.device)
        calls[network["name"]] = built, functools.partial(_forward, built, inputs)
    found = part_times(
        calls,
        repeats=spec["repeats"],
        warmup=spec["warmup"],
        rng=random.Random(seed_of("block_times", sorted(calls))),
        clock=_clock(context.device),
    )
    rows: list[Row] = []
    for network in spec["backbone"]:
        about = {"backbone": network["name"], "scale": network["scale"], "threads": threads}
        rows += [
            {**about, "device": context.device, **row} for row in _rows(found[network["name"]])
        ]
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
