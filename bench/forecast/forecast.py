"""How long what a run has yet to do will take on this machine."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from bench.executor.needs import processes_of
from bench.forecast.cost import Rates, seconds_of
from bench.forecast.duration import duration as duration
from bench.forecast.schedule import makespan
from bench.machine import usable_cores
from bench.plan import Plan


@dataclass(frozen=True)
class Forecast:
    """Seconds to come."""

    seconds: Mapping[str, float]
    """Of the cells that are told, by their keys, each on one worker."""
    by_task: Mapping[str, float]
    """Sums over cells, however many run at once."""
    wall_s: float
    workers: int
    untold: int
    """Cells to do that are not told."""

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
    rates, wanted = Rates(device), set(to_do)
    told = {one.key: seconds_of(one, rates)[0] for one in plan if one.key in wanted}
    return foretold(plan, told, workers)


def foretold(plan: Plan, told: Mapping[str, float | None], workers: int) -> Forecast:
    """Return the forecast of the seconds of some cells on one worker; None are not told.

    The processes of a training, which has one place of the run's, take its seconds in equal parts
    as far as there are cores for them.
    """
    seconds = {key: value for key, value in told.items() if value is not None}
    by_task: Counter[str] = Counter()
    for key, value in seconds.items():
        by_task[plan.cells[key].cell.task] += value
    cores = usable_cores()
    places = {key: min(processes_of(plan.cells[key].cell), cores) for key in seconds}
    lasting = {key: value / places[key] for key, value in seconds.items()}
    wall = makespan(plan, lasting, workers)
    return Forecast(seconds, by_task, wall, workers, len(told) - len(seconds))
