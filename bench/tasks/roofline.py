"""What this machine can do at most, measured in the same run as the latencies."""

import random

from bench.api import Cell, Context, Kind, Outcome, register
from bench.metrics.latency import stopwatch_for
from bench.metrics.roofline import ceilings
from bench.seeds import seed_of
from bench.tasks.timing import conditions


@register(Kind.TASK, "roofline", source="Williams, Waterman and Patterson 2009")
def roofline(cell: Cell, context: Context) -> Outcome:
    """Measure the ceilings of products, convolutions and copies."""
    with conditions(cell.spec, context) as about:
        found = ceilings(
            context.device,
            repeats=cell.spec["repeats"],
            rng=random.Random(seed_of("roofline")),
            stopwatch=stopwatch_for(context.device),
        )
    return Outcome(
        [
            {
                "ceiling": one.name,
                "dtype": one.name.partition("-")[2],
                **about,
                "gmacs_per_s": one.macs / one.best_s / 1e9 if one.macs else None,
                "gmacs_per_s_median": one.macs / one.median_s / 1e9 if one.macs else None,
                "gb_per_s": one.bytes_moved / one.best_s / 1e9,
                "gb_per_s_median": one.bytes_moved / one.median_s / 1e9,
                "best_s": one.best_s,
                "median_s": one.median_s,
            }
            for one in found
        ]
    )
