"""The schedule played through, against the wall time of the real runner on two workers."""

import time

import pytest

from bench.api import Cell
from bench.forecast.cluster import Cluster
from bench.forecast.cost import Cost
from bench.forecast.scaling import jobs_of
from bench.forecast.simulation import simulate
from bench.plan import plan_of
from bench.runner import Runner
from bench.store import Store

WITHIN = 0.2
TRIES = 3
"""Of the measured run: other people's work on the machine may lengthen one."""


def sleeping(seconds, *uses, timing=False):
    return Cell("toy-steps", {"steps": 1, "seconds": seconds}, uses, timing=timing)


@pytest.fixture
def plan(toys):
    """Return a plan of which two workers make neither half nor all of one worker's time."""
    nothing = sleeping(0.0)
    root = sleeping(0.42)
    fork = [sleeping(seconds, root) for seconds in (0.45, 0.82, 0.53, 0.61)]
    last, apart, timed = sleeping(0.3, *fork), sleeping(0.65), sleeping(0.35, timing=True)
    return plan_of([nothing, apart, *fork, last, timed], purpose="test")


def run(plan, folder, workers):
    started = time.monotonic()
    records = Runner(Store(folder), workers=workers).run(plan)
    return time.monotonic() - started, {k: r["made"]["seconds"] for k, r in records.items()}


@pytest.mark.slow
def test_two_workers_take_as_long_as_one_workers_times_say(plan, tmp_path):
    wall, seconds = run(plan, tmp_path / "one", workers=1)
    first = next(iter(plan)).key
    start = seconds.pop(first)  # of the worker: the cell itself does nothing
    overhead = max(0.0, wall - start - sum(seconds.values())) / len(plan)
    jobs = jobs_of(plan, {one.key: Cost(seconds=seconds.get(one.key, 0.0)) for one in plan})
    one, two = (
        simulate(jobs, Cluster(workers, start_s=start, overhead_s=overhead)).wall_s
        for workers in (1, 2)
    )
    assert one == pytest.approx(wall, rel=0.05)
    measured = [run(plan, tmp_path / f"two-{i}", workers=2)[0] for i in range(1)]
    while min(measured) > (1 + WITHIN) * two and len(measured) < TRIES:
        measured.append(run(plan, tmp_path / f"two-{len(measured)}", workers=2)[0])
    assert min(measured) == pytest.approx(two, rel=WITHIN)
    assert one > (1 + WITHIN) * two, "a prediction for one worker would be noticed"
