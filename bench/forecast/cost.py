"""What every cell of a plan costs: images, multiply-adds, seconds, bytes."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any, Protocol

from bench import canonical
from bench.api import Cell, Kind
from bench.executor.needs import processes_of
from bench.forecast.macs import Macs
from bench.forecast.pace import Pace, Shape
from bench.forecast.storage import Sizes, kept_bytes, scratch_bytes
from bench.forecast.work import Work, images_of, work_of
from bench.plan import Planned
from bench.registry import build

SAME_IN_EVERY_BUDGET = {"canary": 2.0, "cost": 2.0, "ladder": 0.5}
"""Seconds on one core, from records of smoke runs on digits."""
IN_PARTS = ("sample", "features", "restore", "denoise", "estimate")
"""Tasks whose images do not depend on each other."""


@dataclass(frozen=True)
class Cost:
    """What one cell takes."""

    images: int = 0
    """That go through a network."""
    macs: float = 0.0
    """Of networks."""
    seconds: float | None = None
    """On one worker, whatever its `width`; None where it is not told."""
    host_s: float = 0.0
    """Of those on the CPU, wherever the networks run."""
    kept: int = 0
    """Bytes that it leaves in the store."""
    scratch: int = 0
    """Bytes besides, until it is done."""
    parts: int = 1
    """Micro-batches, where they do not depend on each other."""
    width: int = 1
    """Workers of one node that share it."""
    measured: bool = False
    """Whether the seconds are of an earlier measurement."""


class PerImage(Protocol):
    """What an image costs, in seconds or in multiply-adds."""

    def of_denoiser(self, kind: Kind, spec: Mapping[str, Any], shape: Shape, /) -> Any:
        """Return `call` and `update` of a denoiser or a generator; None where it fails."""
        ...

    def of_scoring(self, shape: Shape, /) -> Any:
        """Return `call` of scoring an estimate."""
        ...

    def of_features(self, name: str, shape: Shape, /) -> Any:
        """Return `call` of a feature extractor."""
        ...

    def of_judge(self, shape: Shape, /) -> Any:
        """Return `call` and `update` of a classifier of generated images."""
        ...


@dataclass
class Rates:
    """What cells are told by: networks timed here, or multiply-adds over a throughput."""

    device: str
    """Of this machine, whose pace counts where there is no throughput."""
    macs_per_s: float | None = None
    known: Mapping[str, float] = field(default_factory=dict)
    """Seconds from begin to end of cells that were measured before, by key."""
    macs: Macs = field(default_factory=Macs)
    pace: Pace = field(init=False)

    def __post_init__(self) -> None:
        """Time networks where they will run, unless a throughput stands for that."""
        self.pace = Pace(self.device if self.macs_per_s is None else "cpu")


def costs_of(plan: Iterable[Planned], rates: Rates) -> dict[str, Cost]:
    """Return what each cell costs, by key; cells on which nothing can be said cost nothing."""
    return {planned.key: _cost(planned, rates) for planned in plan}


def _cost(planned: Planned, rates: Rates) -> Cost:
    cell, work, shape = planned.cell, work_of(planned), shape_of(planned.cell)
    counts = (planned.basis.get("data") or {}).get("counts", {})
    cost = Cost(width=processes_of(cell), parts=_parts(cell, work))
    if shape is not None:
        sizes = _sizes(cell, shape, rates.macs)
        kept, scratch = kept_bytes(cell, sizes, counts), scratch_bytes(cell, sizes)
        cost = replace(cost, kept=kept, scratch=scratch)
    if work is not None and shape is not None:
        macs = total(cell, work, shape, rates.macs)
        cost = replace(cost, images=work.images, macs=macs or 0.0)
    seconds, host = seconds_of(planned, rates)
    return replace(cost, seconds=seconds, host_s=host, measured=planned.key in rates.known)


def seconds_of(planned: Planned, rates: Rates) -> tuple[float | None, float]:
    """Return a cell's seconds on one worker, and how many of these the CPU takes in any case.

    None where they are not told. A timing takes what it may take at most. What was measured is how
    long all processes of a training were at work.
    """
    if planned.key in rates.known:
        return rates.known[planned.key] * processes_of(planned.cell), 0.0
    cell, work, shape = planned.cell, work_of(planned), shape_of(planned.cell)
    if cell.timing and "most_s" in cell.spec:
        return cell.spec["most_s"], 0.0
    if cell.task in SAME_IN_EVERY_BUDGET:
        return SAME_IN_EVERY_BUDGET[cell.task], SAME_IN_EVERY_BUDGET[cell.task]
    if work is None or shape is None:
        return None, 0.0
    paired = 0.0
    if work.pairs:
        features = rates.macs.of_features(cell.spec["features"]["name"], shape)
        if features is None:
            return None, 0.0
        paired = work.pairs * rates.pace.of_pair(features.dimension)
    if work.judged or work.taught:
        judging = total(cell, work, shape, rates.pace)
        return judging, judging or 0.0
    if rates.macs_per_s is None:
        networks = total(cell, work, shape, rates.pace)
        return (None, 0.0) if networks is None else (networks + paired, paired)
    if _is_no_network(cell, work, shape, rates.macs):
        classic = total(cell, work, shape, rates.pace)
        return (None, 0.0) if classic is None else (classic + paired, classic + paired)
    macs = total(cell, work, shape, rates.macs)
    return (None, 0.0) if macs is None else (macs / rates.macs_per_s + paired, paired)


def total(cell: Cell, work: Work, shape: Shape, each: PerImage) -> float | None:
    """Return what all images of a cell cost together; None where a network cannot be looked at."""
    result = 0.0
    if work.forward or work.updates:
        network = each.of_denoiser(*network_of(cell), shape)
        if network is None:
            return None
        result += work.forward * network.call + work.updates * network.update
    for count, find in ((work.scored, each.of_scoring), (work.features, _extractor(cell, each))):
        if count:
            one = find(shape)
            if one is None:
                return None
            result += count * one.call
    if work.judged or work.taught:
        judge = each.of_judge(shape)
        if judge is None:
            return None
        result += work.judged * judge.call + work.taught * judge.update
    return result


def _extractor(cell: Cell, each: PerImage) -> Callable[[Shape], Any]:
    return lambda shape: each.of_features(cell.spec["features"]["name"], shape)


def _is_no_network(cell: Cell, work: Work, shape: Shape, macs: Macs) -> bool:
    """Return whether a cell's images go through a classic filter, which computes on the CPU."""
    if not work.forward and not work.updates:
        return False
    counted = macs.of_denoiser(*network_of(cell), shape)
    return counted is not None and not counted.numbers


def network_of(cell: Cell) -> tuple[Kind, Mapping[str, Any]]:
    """Return the kind and the specification of what a cell trains or calls."""
    kind = Kind.DENOISER if Kind.DENOISER in cell.spec else Kind.GENERATOR
    return kind, cell.spec[kind]


def shape_of(cell: Cell) -> Shape | None:
    """Return channels and pixels a side of a cell's images; None where it has none of a set."""
    asked = [cell]
    while asked:
        one = asked.pop(0)
        if Kind.DATASET in one.spec:
            return _shape(canonical.dumps(one.spec[Kind.DATASET]))
        asked += one.uses
    return None


@lru_cache
def _shape(spec: str) -> Shape:
    parameters = canonical.loads(spec)
    built = build(Kind.DATASET, parameters.pop("name"), **parameters)
    return built.channels, built.image_size


def _sizes(cell: Cell, shape: Shape, macs: Macs) -> Sizes:
    channels, size = shape
    trained = cell.task in ("train", "distil", "convergence")
    network = macs.of_denoiser(*network_of(cell), shape) if trained else None
    network = macs.of_judge(shape) if cell.task == "judge" else network
    extracts = cell.task == "features"
    features = macs.of_features(cell.spec["features"]["name"], shape) if extracts else None
    return Sizes(
        image=channels * size * size,
        numbers=network.numbers if network else 0,
        dimension=features.dimension if features else 0,
    )


def _parts(cell: Cell, work: Work | None) -> int:
    if work is None or cell.task not in IN_PARTS:
        return 1
    return -(-images_of(cell) // cell.spec["micro_batch"])
