"""The curves of the solvers: distance, quality and time against work, and what neighbours do."""

import math
from collections.abc import Iterator, Sequence

import numpy as np

from bench.checked import Curve
from bench.report.names import printed
from bench.report.rows import RunLike
from bench.report.solving import Level, Way, by_network, gap, key_of, seconds


def curves(run: RunLike) -> list[Curve]:
    """Return the curves: a set of panels for each network, at the level in the middle."""
    times = seconds(run)
    return [
        curve
        for name, here in by_network(run).items()
        for curve in _of_level(here[len(here) // 2], times.get(name, {}))
    ]


def _of_level(level: Level, times: dict[tuple, list[float]]) -> Iterator[Curve]:
    name = f"{printed(level.backbone)}, step {level.t}"
    apart, watch = (f"Solvers of {name}: {what}" for what in ("distance", "time"))
    far, calls = "distance to the solution, relative", "evaluations of a call"
    for solver in level.solvers:
        ways = level.of(solver)
        nfe = [way.nfe for way in ways]
        if all(way.distance for way in ways):
            yield Curve(apart, solver, nfe, [way.far for way in ways], calls, far)
        timed = [way for way in ways if key_of(way) in times and way.distance]
        if timed:
            took = [1000 * float(np.median(times[key_of(way)])) for way in timed]
            yield Curve(watch, solver, took, [way.far for way in timed], "ms a call", far)
    yield from _quality(level, f"Solvers of {name}: quality", calls)
    yield from _neighbours(level, f"Neighbours of {name}")


def _quality(level: Level, panel: str, calls: str) -> Iterator[Curve]:
    """Yield what other ways lose against that of training, or the PSNR where one may gain."""
    trained = level.trained
    others = {solver: [w for w in level.of(solver) if not w.trained] for solver in level.solvers}
    if trained is None:
        return
    lost = {way: gap(trained.psnr, way.psnr) for ways in others.values() for way in ways}
    if all(found is not None and found[1] > 0 for found in lost.values()):
        axis = f"PSNR lost against {trained.words} (dB)"
        for solver, ways in others.items():
            if ways:
                values, low, high = zip(*(lost[way] for way in ways), strict=True)
                nfe = [way.nfe for way in ways]
                yield Curve(panel, solver, nfe, values, calls, axis, low=low, high=high)
        return
    axes = (calls, "PSNR (dB)")
    for solver in level.solvers:
        ways = level.of(solver)
        psnr = [float(np.mean(way.psnr)) for way in ways]
        yield Curve(panel, solver, [way.nfe for way in ways], psnr, *axes, logarithmic="x")
    ends = [min(way.nfe for way in level.ways), max(way.nfe for way in level.ways)]
    level_of = [float(np.mean(trained.psnr))] * 2
    yield Curve(panel, "as trained", ends, level_of, *axes, logarithmic="x", reference=True)


def _neighbours(level: Level, panel: str) -> Iterator[Curve]:
    axes = ("tolerance", "change of an image among others")
    seen: list[float] = []
    for solver in level.solvers:
        ways = [way for way in level.of(solver) if way.tolerance is not None and way.coupling]
        if not ways:
            continue
        seen += [way.tolerance for way in ways]
        yield Curve(panel, solver, [w.tolerance for w in ways], _drawn(ways), *axes)
    floor = level.trained
    if seen and floor is not None and floor.coupling:
        ends = [min(seen), max(seen)]
        yield Curve(panel, "fixed steps", ends, _drawn([floor] * 2), *axes, reference=True)


def _drawn(ways: Sequence[Way]) -> list[float]:
    """Return the changes, as far as a logarithmic axis has a place for them."""
    return [max(float(np.mean(way.coupling)), math.ulp(1.0)) for way in ways]
