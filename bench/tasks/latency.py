"""Time one network call of several backbones, interleaved, alone on the machine.

The spec's "engine" runs them all, or is a list with one for each.
"""

import functools
import itertools
import math
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TypeVar

import torch
from torch import nn

from bench.api import Cell, Context, Kind, Outcome, Row, Skip, register
from bench.cell import EAGER
from bench.metrics import audit
from bench.metrics.cost.ledger import Books, keep_books
from bench.metrics.cost.sound import is_adaptive
from bench.metrics.latency import (
    MOST_BATCH,
    Comparison,
    Pace,
    compare_latency,
    largest_batch,
    stopwatch_for,
)
from bench.metrics.memory import Peak, measure_peak, mib_of_weights
from bench.seeds import seed_of
from bench.tasks.networks import sound_network
from bench.tasks.timing import Faulty, attempt, conditions, named, without_faulty

T = TypeVar("T")
MOST_ROUNDS = 8
"""Times the rounds asked for, after which a comparison ends, settled or not."""
SAID = ("name", "scale")
"""Of a network's specification, what has columns of its own."""
LARGEST = "largest"
"""In place of a batch size: the largest power of two that fits the memory of a GPU."""


@dataclass(frozen=True, slots=True)
class Built:
    """One network on its device."""

    key: str
    """What tells it from the others of the cell; their names may be the same."""
    spec: Row
    network: nn.Module
    """As it was built; the engine has yet to be prepared for it."""
    engine: Row = field(default_factory=lambda: EAGER)


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured(Built):
    """One network, ready to be timed."""

    call: audit.TimedCall
    """Of what the engine made of the network."""
    tolerance: float
    """How far that may be from what the network itself returns."""
    books: Books
    nfe: int | None
    """Evaluations of ODE fields in one call; None where it depends on the input."""
    peak: Peak


@register(Kind.TASK, "latency", source="protocol, Table 1 and Determinism")
def latency(cell: Cell, context: Context) -> Outcome:
    """Measure median and quartiles per network, the networks taking turns in random order.

    A network that cannot be timed has a row that says why; ratios are to the first that can.
    """
    spec, searched = cell.spec, cell.spec["batch"] == LARGEST
    with conditions(spec, context) as about:
        if searched and not context.device.startswith("cuda"):
            raise Skip("the largest batch is looked for on CUDA only: elsewhere memory is shared")
        built = [
            attempt(functools.partial(_built, network, spec, context, number), network)
            for number, network in enumerate(spec["backbone"])
        ]
        if not searched:
            return Outcome(_timed(built, {**spec, **about}, context))
        good = without_faulty(built)
        heaviest = max(good, key=lambda one: mib_of_weights(one.network)).spec
        # An audit will hold a twin of each in turn.
        twin = _built(heaviest, spec, context)
        batch = _largest_batch([*good, twin], spec, context.device)
        del twin

        def timed(batch: int) -> list[Row]:
            return _timed(built, {**spec, **about, "batch": batch}, context, searched=True)

        return Outcome(_stepping_down(timed, batch))


def _timed(
    built: list[Built | Faulty], spec: Row, context: Context, *, searched: bool = False
) -> list[Row]:
    """Time what was built, and return a row for each in the same order."""
    # Where the batch was looked for, too little memory is a matter of the batch.
    passing = (torch.OutOfMemoryError,) if searched else ()

    def each(make: Callable[[T], object], found: list[T | Faulty]) -> list:
        return [
            one
            if isinstance(one, Faulty)
            else attempt(functools.partial(make, one), one.spec, passing=passing)
            for one in found
        ]

    ready = each(lambda one: _prepared(one, spec, context), built)
    calls = {one.key: one.call for one in without_faulty(ready)}
    rng = random.Random(seed_of("latency", list(calls)))
    pace = Pace(spec["repeats"], spec["warmup"], MOST_ROUNDS * spec["repeats"], spec["most_s"])
    stopwatch = audit.preparing(stopwatch_for(context.device))
    compared = compare_latency(calls, pace, rng=rng, stopwatch=stopwatch)
    about = {
        **{name: spec[name] for name in ("device", "threads", "cpus", "tf32", "batch")},
        "batch_capped": searched and spec["batch"] == MOST_BATCH,
        "repeats": compared.rounds,
        "rounds": compared.rounds,
        "ratio_to": without_faulty(ready)[0].spec["name"],
    }

    def row(one: Measured) -> Row:
        credible = _credible(one.key, compared, _audit(one, spec, context))
        return {**_row(one, compared), **about, **credible, **_ratios(one.key, compared)}

    rows = each(row, ready)
    without_faulty(rows)
    return [one.row if isinstance(one, Faulty) else one for one in rows]


def inputs_of(spec: Row, device: str) -> Iterator[audit.Inputs]:
    """Yield noise images that differ every time; the same ones for every network."""
    shape = (spec["batch"], spec["channels"], spec["image_size"], spec["image_size"])
    drawn = torch.Generator().manual_seed(0)
    step = torch.full(shape[:1], 500.0, device=device)
    for _ in itertools.count():
        yield torch.randn(shape, generator=drawn).to(device), step


def _largest_batch(built: list[Built], spec: Row, device: str) -> int:
    """Return the largest batch that each network can run beside all the others' weights."""

    def fits(batch: int) -> bool:
        try:
            inputs = next(inputs_of({**spec, "batch": batch}, device))
            with torch.inference_mode():
                for one in built:
                    one.network(*inputs)
        except torch.OutOfMemoryError:
            return False
        except RuntimeError:
            # Some kernels count elements in 32 bits, and say so in words of their own.
            if batch == 1:
                raise
            return False
        finally:
            torch.cuda.empty_cache()
        return True

    return largest_batch(fits)


def _stepping_down(timed: Callable[[int], T], batch: int) -> T:
    """Return what `timed` returns for a batch, or for the first half of it that fits after all."""
    while True:
        try:
            return timed(batch)
        except torch.OutOfMemoryError:
            if batch == 1:
                raise
        # Not before the fault is forgotten: it holds all that was there.
        batch //= 2
        torch.cuda.empty_cache()


def _built(network: Row, spec: Row, context: Context, number: int = 0) -> Built:
    size = {"channels": spec["channels"], "image_size": spec["image_size"]}
    built = sound_network(context, network, **size).to(context.device)
    if spec["batch"] == LARGEST:
        with torch.inference_mode():  # one that the device cannot run is not to end the search
            built(*next(inputs_of({**spec, "batch": 1}, context.device)))
    return Built(f"{number} {network['name']}", network, built, _engine(spec, number))


def _engine(spec: Row, number: int) -> Row:
    """Return the engine of a network by its place."""
    engine = spec.get("engine", EAGER)
    return engine[number] if isinstance(engine, list | tuple) else engine


def _prepared(one: Built, spec: Row, context: Context) -> Measured:
    device, draw = context.device, functools.partial(next, inputs_of(spec, context.device))
    engine = context.build(Kind.ENGINE, one.engine)
    call = audit.TimedCall(engine.prepare(one.network, *draw()), draw)
    # One that says nothing of itself may sum in another order, as nearly every engine does.
    tolerance = getattr(engine, "tolerance", audit.REORDERED)
    peak = measure_peak(call, device, weights_mib=mib_of_weights(one.network))
    books = keep_books(one.network, *call.inputs)
    nfe = None if is_adaptive(one.network) else books.nfe
    return Measured(
        one.key, one.spec, one.network, one.engine,
        call=call, tolerance=tolerance, books=books, nfe=nfe, peak=peak,
    )  # fmt: skip


def _audit(one: Measured, spec: Row, context: Context) -> audit.Audit:
    """Compare the timed outputs with those of a twin that was never timed, and two kinds of input.

    The twin is built anew, so that it shares weights with the timed network and nothing else. It
    runs as it is: what another engine may differ by is the rounding of its kind of numbers.
    """
    twin = _built(one.spec, spec, context).network
    twin.load_state_dict(one.network.state_dict())
    error = audit.output_error(one.call, twin)
    if one.engine != EAGER or not spec.get("repeat_inputs", True):
        return audit.Audit(error, tolerance=one.tolerance)
    repeated = audit.repeated_input(
        twin,
        one.call.draw,
        rng=random.Random(seed_of("audit", one.spec["name"])),
        stopwatch=stopwatch_for(context.device),
    )
    return audit.Audit(error, repeated)


def _row(one: Measured, compared: Comparison) -> Row:
    """Return what one network took."""
    timing, ratio = compared.timings[one.key], compared.ratios.get(one.key)
    return {
        **named(one.spec),
        "options": ", ".join(f"{k}={v}" for k, v in one.spec.items() if k not in SAID),
        "engine": one.engine["name"],
        "fault": "",
        "latency_s": timing.median_s,
        "latency_q1_s": timing.q1_s,
        "latency_q3_s": timing.q3_s,
        "samples_s": list(timing.samples),
        "nfe": one.nfe,
        "latency_per_evaluation_s": timing.median_s / one.nfe if one.nfe else None,
        "ratio": ratio.value if ratio else 1.0,
        "ratio_low": ratio.low if ratio else 1.0,
        "ratio_high": _finite(ratio.high) if ratio else 1.0,
        "gmacs_torch": one.books.flops / 2e9,
        "bytes_moved": one.books.total.bytes_moved,
        "peak_memory_mib": one.peak.memory_mib,
        "peak_rss_rise_mib": one.peak.rss_rise_mib,
        "peak_rss_reset": one.peak.rss_reset,
        "cuda_allocated_mib": one.peak.cuda_allocated_mib,
        "cuda_reserved_mib": one.peak.cuda_reserved_mib,
    }


def _ratios(key: str, compared: Comparison) -> Row:
    """Return a network's place among those of the cell, and its ratio to each other place."""
    return {
        "place": _place(key),
        "ratio_to_places": {
            _place(other): [ratio.value, ratio.low, _finite(ratio.high)]
            for other, ratio in compared.ratios_to_all(key).items()
        },
    }


def _place(key: str) -> str:
    return key.partition(" ")[0]


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _credible(key: str, compared: Comparison, found: audit.Audit) -> Row:
    """Return whether the times can be believed, and why not."""
    unsettled = compared.unsettled(key)
    return {
        "noisy": bool(unsettled),
        "noisy_reason": unsettled,
        "audit_passed": not found.fault,
        "audit_fault": found.fault,
        "audit_output_error": _finite(found.output_error),
        "audit_repeated_ratio": found.repeated.value if found.repeated else None,
    }
