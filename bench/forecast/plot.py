"""Speed-up against the number of workers: as cells are, in shards, and with nodes that fail."""

import statistics
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from bench.api import BenchError
from bench.disk import write_atomically
from bench.forecast.cluster import Cluster, Job
from bench.forecast.simulation import simulate

SHARDS = 64
"""That are drawn where none are asked for."""
SEEDS = 15
"""Of failures; the median run is drawn."""
FORMATS = (".svg", ".png", ".pdf")
COLOURS = ("#332288", "#44AA99", "#004488", "#CC6677", "#DDAA33")
DASHES = ("-", "--", "-", "--", ":")
"""Lines may lie on each other."""


@dataclass(frozen=True)
class Line:
    """One way of running, over the numbers of workers."""

    name: str
    speed_ups: tuple[float, ...]


def ways(
    jobs: Sequence[Job], cluster: Cluster, trained: Collection[str]
) -> Iterator[tuple[str, Sequence[Job], Cluster]]:
    """Yield how a run can be spread: a name, its cells and what they run on.

    Args:
        jobs: The cells.
        cluster: Nodes, shards and failures.
        trained: Keys of those that a node's workers can share, though no shards.
    """
    shards = cluster.shards if cluster.shards > 1 else SHARDS
    per_node = cluster.per_node or cluster.workers
    calm = replace(cluster, shards=1, failures_per_hour=0.0, kept_every_s=None)
    wide = [replace(job, width=per_node) if job.key in trained else job for job in jobs]
    yield "whole cells", jobs, calm
    yield f"cells in {shards} shards", jobs, replace(calm, shards=shards)
    yield f"shards, and trainings on {per_node} each", wide, replace(calm, shards=shards)
    if cluster.failures_per_hour:
        failing = replace(cluster, shards=1, kept_every_s=None)
        rate = f"whole, {cluster.failures_per_hour:g} failures a node-hour"
        yield f"{rate}: cells begin anew", jobs, failing
        if cluster.kept_every_s is not None:
            kept = replace(failing, kept_every_s=cluster.kept_every_s)
            yield f"{rate}: kept every {cluster.kept_every_s / 60:g} min", jobs, kept


def lines_of(
    jobs: Sequence[Job], cluster: Cluster, trained: Collection[str], counts: Sequence[int]
) -> list[Line]:
    """Return the speed-up of each way over one worker that does whole cells, without failures."""
    one = replace(cluster, workers=1, per_node=1, shards=1, failures_per_hour=0.0)
    alone = simulate(jobs, one).wall_s
    return [
        Line(name, tuple(alone / _wall(some, here, count) if alone else 1.0 for count in counts))
        for name, some, here in ways(jobs, cluster, trained)
    ]


def _wall(jobs: Sequence[Job], cluster: Cluster, count: int) -> float:
    size = min(count, cluster.per_node or count)
    seeds = range(SEEDS if cluster.failures_per_hour else 1)
    return statistics.median(
        simulate(jobs, replace(cluster, workers=count, per_node=size, seed=seed)).wall_s
        for seed in seeds
    )


def draw(
    path: Path,
    jobs: Sequence[Job],
    cluster: Cluster,
    *,
    trained: Collection[str],
    counts: Sequence[int],
    unit: str,
) -> None:
    """Write a picture of the speed-up of each way over the numbers of workers.

    Raises:
        BenchError: If the file's name is not that of a picture.
    """
    if path.suffix not in FORMATS:
        raise BenchError(f"--plot {path}: expected a name that ends in {', '.join(FORMATS)}")
    found = lines_of(jobs, cluster, trained, counts)
    write_atomically(path, _picture(found, counts, unit, path.suffix[1:]))


def _picture(found: Sequence[Line], counts: Sequence[int], unit: str, form: str) -> bytes:
    import io

    import matplotlib as mpl
    from matplotlib.figure import Figure
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

    from bench.report.style import GREY, RC

    with mpl.rc_context(RC):
        figure = Figure(figsize=(5.4, 3.9), layout="constrained")
        axes = figure.add_subplot()
        ideal = {"color": GREY, "lw": 1, "ls": (0, (1, 2)), "label": "as many times as fast"}
        axes.plot(counts, counts, **ideal)
        for number, line in enumerate(found):
            style = {"color": COLOURS[number], "marker": "osD^v"[number], "ls": DASHES[number]}
            axes.plot(counts, line.speed_ups, label=line.name, **style)
        axes.set(xscale="log", yscale="log", xlabel=f"{unit}s", ylabel=f"speed-up over one {unit}")
        axes.set_ylim(0.8, 1.3 * max(max(line.speed_ups) for line in found))
        plain = FuncFormatter(lambda value, _: f"{value:g}")
        axes.xaxis.set_major_locator(FixedLocator(list(counts)))
        axes.yaxis.set_major_locator(FixedLocator([1, 2, 5, 10, 20, 50, 100, 200, 500, 1000]))
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_minor_locator(NullLocator())
            axis.set_major_formatter(plain)
        figure.legend(loc="outside lower center", ncols=2)
        file = io.BytesIO()
        figure.savefig(file, format=form, metadata={"Date": None} if form == "svg" else None)
    return file.getvalue()
