"""Measure what is known already, so that a run shows whether its instruments can be believed."""

from collections.abc import Iterator

from bench.api import Cell, Context, Kind, Outcome, register
from bench.canaries.canary import Canary, rows


@register(
    Kind.TASK,
    "canary",
    source="closed forms, definitions, and pins made with other implementations",
)
def canary(cell: Cell, context: Context) -> Outcome:
    """Return one row per known answer; the cell is ok when they were measured, right or wrong."""
    part = cell.spec["canaries"]["name"]
    return Outcome(rows(_clocks(cell) if part == "timing" else _instruments(cell, context)))


def _clocks(cell: Cell) -> Iterator[Canary]:
    import torch

    from bench.canaries.clocks import clock_canaries

    torch.set_num_threads(cell.spec["threads"])
    yield from clock_canaries()


def _instruments(cell: Cell, context: Context) -> Iterator[Canary]:
    from bench.canaries.counts import count_canaries, noise_canaries
    from bench.canaries.images import image_canaries
    from bench.canaries.processes import schedule_canary, solver_canaries
    from bench.canaries.sets import set_canaries

    yield from noise_canaries()
    yield from image_canaries()
    yield from set_canaries()
    yield from count_canaries()
    for solver in cell.spec["solver"]:
        yield from solver_canaries(solver["name"], context.build(Kind.SOLVER, solver))
    for schedule in cell.spec["schedule"]:
        yield schedule_canary(schedule["name"], context.build(Kind.SCHEDULE, schedule))
