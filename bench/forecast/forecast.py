"""How long what a run has yet to do will take on this machine."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from bench.forecast.pace import Pace
from bench.forecast.schedule import makespan
from bench.forecast.work import work_of
from bench.plan import Plan, Planned

MINUTE, HOUR = 60.0, 3600.0


@dataclass(frozen=True)
class Forecast:
    """Seconds to come."""

    seconds: Mapping[str, float]
    """Of the cells that are told, by their keys."""
    by_task: Mapping[str, float]
    """Sums over cells, however many run at once."""
    wall_s: float
    workers: int
    untold: int
    """Cells to do that are not told: timings, features, tables."""

    def words(self) -> str:
        """Return the forecast in one line; empty where nothing is told."""
        if not self.seconds:
            return ""
        parts = sorted(self.by_task.items(), key=lambda item: -item[1])
        tasks = ", ".join(f"{task} {duration(seconds)}" for task, seconds in parts)
        rest = f"; {self.untold} other cells, mostly short, are not counted" if self.untold else ""
        plural = "s" * (self.workers != 1)
        return (
            f"about {duration(self.wall_s)} with {self.workers} worker{plural}, "
            f"from a few calls timed now ({tasks}){rest}"
        )


def forecast(plan: Plan, to_do: Iterable[str], *, device: str, workers: int) -> Forecast:
    """Time a few calls of each denoiser and return what the cells to do will take.

    Differs: from what a run then takes, as workers share the memory's bandwidth, and the machine's
    other users come and go. On a GPU, which small batches do not fill, it is too long.

    Args:
        plan: The cells.
        to_do: Keys of those that are not measured yet.
        device: "cpu" or "cuda".
        workers: Cells that run at once.
    """
    pace, wanted = Pace(device), set(to_do)
    seconds = {}
    for planned in plan:
        if planned.key in wanted:
            told = _seconds(planned, pace)
            if told is not None:
                seconds[planned.key] = told
    by_task: Counter[str] = Counter()
    for key, value in seconds.items():
        by_task[plan.cells[key].cell.task] += value
    wall = makespan(plan, seconds, workers)
    return Forecast(seconds, by_task, wall, workers, len(wanted) - len(seconds))


def _seconds(planned: Planned, pace: Pace) -> float | None:
    work = work_of(planned)
    if work is None:
        return None
    spec, data = planned.cell.spec, planned.basis["data"]
    shape = (data["channels"], data["image_size"])
    of = pace.of_denoiser(spec["denoiser"], shape)
    if of is None:
        return None
    scoring = pace.of_scoring(shape).call if work.scored else 0.0
    return work.forward * of.call + work.updates * of.update + work.scored * scoring


def duration(seconds: float) -> str:
    """Return a number of seconds as a person says it: 40 s, 3 min, 5.2 h, 12 days."""
    if seconds < 1.5 * MINUTE:
        return f"{seconds:.0f} s"
    if seconds < 1.5 * HOUR:
        return f"{seconds / MINUTE:.0f} min"
    if seconds < 48 * HOUR:
        return f"{seconds / HOUR:.1f} h"
    return f"{seconds / HOUR / 24:.0f} days"
