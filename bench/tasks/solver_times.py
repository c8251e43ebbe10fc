"""The time of one call of a trained continuous network under many solvers, taking turns."""

import functools
import random
from collections.abc import Callable

import torch

from bench.api import BenchError, Cell, Context, Invalid, Kind, Outcome, Row, register
from bench.metrics.latency import Pace, compare_latency, stopwatch_for
from bench.seeds import seed_of
from bench.tasks.denoisers import trained_denoiser
from bench.tasks.noised import Noised
from bench.tasks.solved import Continuous, Way, ways_of
from bench.tasks.timing import conditions

MOST_ROUNDS = 4
"""Times the rounds asked for, after which it ends, settled or not."""


@register(Kind.TASK, "solver_times", source="protocol, Theory and Cost")
def solver_times(cell: Cell, context: Context) -> Outcome:
    """Measure median and quartiles of restoring one noised image, alone, for each way to solve."""
    spec = cell.spec
    dataset = context.build(Kind.DATASET)
    denoiser = trained_denoiser(cell, context, dataset)
    network = Continuous.of(spec["denoiser"]["name"], denoiser)
    for solver in spec["solver"]:
        context.build(Kind.SOLVER, {"name": solver["name"]})
    noised = Noised.of(cell, context, dataset)
    ways = list(dict.fromkeys([network.trained, *ways_of(spec["solver"])]))
    with conditions(spec, context) as about, torch.inference_mode():
        calls, faults = _calls(network, noised, ways)
        compared = compare_latency(
            {way.key: call for way, call in calls.items()},
            Pace(spec["repeats"], spec["warmup"], MOST_ROUNDS * spec["repeats"], spec["most_s"]),
            rng=random.Random(seed_of("solver_times", [way.key for way in calls])),
            stopwatch=stopwatch_for(context.device),
        )
    rows: list[Row] = [
        {"fault": f"{way.key}: {fault}", **way.row, **about} for way, fault in faults.items()
    ]
    for way in calls:
        timing = compared.timings[way.key]
        rows.append(
            {
                **way.row,
                **about,
                **noised.about(),
                "fault": "",
                "is_trained": way == network.trained,
                "batch": 1,
                "call_s": timing.median_s,
                "call_q1_s": timing.q1_s,
                "call_q3_s": timing.q3_s,
                "samples_s": list(timing.samples),
                "rounds": compared.rounds,
                "unsettled": compared.unsettled(way.key),
            }
        )
    return Outcome(rows)


def _calls(
    network: Continuous, noised: Noised, ways: list[Way]
) -> tuple[dict[Way, Callable[[], object]], dict[Way, str]]:
    """Return a call for each way that can be gone, and why the others cannot."""
    batch = noised.batch(range(1))
    calls: dict[Way, Callable[[], object]] = {}
    faults: dict[Way, str] = {}
    for way in ways:
        call = functools.partial(network.call, way, batch.noisy[:1], noised.level, batch.noise)
        try:
            call()
        except (Invalid, BenchError, ArithmeticError) as fault:
            if way == network.trained:
                raise
            faults[way] = str(fault)
        else:
            calls[way] = call
    return calls, faults
