"""When the last cell ends: list scheduling over the workers, each cell after those that it uses."""

import heapq
from collections.abc import Iterable, Mapping
from graphlib import TopologicalSorter

from bench.plan import Planned


def makespan(cells: Iterable[Planned], seconds: Mapping[str, float], workers: int) -> float:
    """Return the seconds until all cells are done.

    A worker that is free takes what became ready first, as the runner does; timing cells run
    alone, after all others.

    Args:
        cells: Of a plan.
        seconds: Of each cell by its key; what is not there takes no time.
        workers: Cells that run at once.

    Source: Graham 1966, "Bounds for certain multiprocessing anomalies" (list scheduling).
    """
    together = {one.key: one.uses for one in cells if not one.cell.timing}
    alone = sum(seconds.get(one.key, 0.0) for one in cells if one.cell.timing)
    order = TopologicalSorter(together)
    order.prepare()
    ready: list[str] = []
    running: list[tuple[float, int, str]] = []
    now, started = 0.0, 0
    while order.is_active():
        ready += order.get_ready()
        while ready and len(running) < workers:
            key = ready.pop(0)
            heapq.heappush(running, (now + seconds.get(key, 0.0), started, key))
            started += 1
        now, _, key = heapq.heappop(running)
        order.done(key)
    return now + alone
