"""Time one network call of several backbones, interleaved, alone on the machine."""

import functools
import itertools
import math
import random
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import nn

from bench.api import Cell, Context, Kind, Outcome, Row, Skip, register
from bench.metrics import audit
from bench.metrics.cost.ledger import Books, keep_books
from bench.metrics.latency import (
    Comparison,
    Pace,
    compare_latency,
    largest_batch,
    stopwatch_for,
)
from bench.metrics.memory import Peak, measure_peak
from bench.seeds import seed_of
from bench.tasks.networks import sound_network

MOST_ROUNDS = 8
"""Times the rounds asked for, after which a comparison ends, settled or not."""
LARGEST = "largest"
"""In place of a batch size: the largest power of two that fits the memory of a GPU."""


@dataclass(frozen=True, slots=True)
class Measured:
    """One network, ready to be timed."""

    spec: Row
    call: audit.TimedCall
    books: Books
    nfe: int
    peak: Peak


@register(Kind.TASK, "latency", source="protocol, Table 1 and Determinism")
def latency(cell: Cell, context: Context) -> Outcome:
    """Measure median and quartiles per network, the networks taking turns in random order."""
    threads = pin(cell.spec, context)
    spec = {**cell.spec, "batch": _batch(cell.spec, context)}
    found = [_prepared(network, spec, context) for network in spec["backbone"]]
    calls = {one.spec["name"]: one.call for one in found}
    rng = random.Random(seed_of("latency", sorted(calls)))
    stopwatch = stopwatch_for(context.device)
    repeats = spec["repeats"]
    pace = Pace(repeats, spec["warmup"], MOST_ROUNDS * repeats, spec["most_s"])
    compared = compare_latency(calls, pace, rng=rng, stopwatch=audit.preparing(stopwatch))
    about = {
        "device": context.device,
        "threads": threads,
        "batch": spec["batch"],
        "repeats": compared.rounds,
        "rounds": compared.rounds,
        "ratio_to": found[0].spec["name"],
    }
    return Outcome(
        [
            {
                **_row(one, compared),
                **about,
                **_credible(one.spec["name"], compared, _audit(one, spec, context)),
            }
            for one in found
        ]
    )


def pin(spec: Row, context: Context) -> int:
    """Set the number of threads, and return how many torch really uses.

    Raises:
        Skip: If CUDA is asked for where there is none.
    """
    if context.device.startswith("cuda") and not torch.cuda.is_available():
        raise Skip("no CUDA device on this machine")
    torch.set_num_threads(spec["threads"])
    return torch.get_num_threads()


def inputs_of(spec: Row, device: str) -> Iterator[audit.Inputs]:
    """Yield noise images that differ every time; the same ones for every network."""
    shape = (spec["batch"], spec["channels"], spec["image_size"], spec["image_size"])
    drawn = torch.Generator().manual_seed(0)
    step = torch.full(shape[:1], 500.0, device=device)
    for _ in itertools.count():
        yield torch.randn(shape, generator=drawn).to(device), step


def _batch(spec: Row, context: Context) -> int:
    """Return the batch size; the largest that fits all networks where the spec says so."""
    if spec["batch"] != LARGEST:
        return spec["batch"]
    if not context.device.startswith("cuda"):
        raise Skip("the largest batch is looked for on CUDA only: elsewhere memory is shared")

    def fits(network: nn.Module, batch: int) -> bool:
        inputs = next(inputs_of({**spec, "batch": batch}, context.device))
        try:
            with torch.inference_mode():
                network(*inputs)
        except torch.OutOfMemoryError:
            return False
        finally:
            torch.cuda.empty_cache()
        return True

    built = (_built(network, spec, context) for network in spec["backbone"])
    return min(largest_batch(functools.partial(fits, network)) for network in built)


def _built(network: Row, spec: Row, context: Context) -> nn.Module:
    size = {"channels": spec["channels"], "image_size": spec["image_size"]}
    return sound_network(context, network, **size).to(context.device)


def _prepared(network: Row, spec: Row, context: Context) -> Measured:
    built = _built(network, spec, context)
    call = audit.TimedCall(built, functools.partial(next, inputs_of(spec, context.device)))
    peak = measure_peak(call, context.device)
    books = keep_books(built, *call.inputs)
    return Measured(network, call, books, books.nfe, peak)


def _audit(one: Measured, spec: Row, context: Context) -> audit.Audit:
    """Compare the timed outputs with those of a twin that was never timed, and two kinds of input.

    The twin is built anew, so that it shares weights with the timed network and nothing else.
    """
    twin = _built(one.spec, spec, context)
    twin.load_state_dict(one.call.network.state_dict())
    error = audit.output_error(one.call, twin)
    if not spec.get("repeat_inputs", True):
        return audit.Audit(error)
    repeated = audit.repeated_input(
        twin,
        one.call.draw,
        rng=random.Random(seed_of("audit", one.spec["name"])),
        stopwatch=stopwatch_for(context.device),
    )
    return audit.Audit(error, repeated)


def _row(one: Measured, compared: Comparison) -> Row:
    """Return what one network took."""
    name = one.spec["name"]
    timing, ratio = compared.timings[name], compared.ratios.get(name)
    return {
        "backbone": name,
        "scale": one.spec["scale"],
        "latency_s": timing.median_s,
        "latency_q1_s": timing.q1_s,
        "latency_q3_s": timing.q3_s,
        "samples_s": list(timing.samples),
        "nfe": one.nfe,
        "latency_per_evaluation_s": timing.median_s / one.nfe if one.nfe else None,
        "ratio": ratio.value if ratio else 1.0,
        "ratio_low": ratio.low if ratio else 1.0,
        "ratio_high": (ratio.high if math.isfinite(ratio.high) else None) if ratio else 1.0,
        "gmacs_torch": one.books.flops / 2e9,
        "bytes_moved": one.books.total.bytes_moved,
        "peak_rss_mib": one.peak.rss_mib,
        "peak_rss_rise_mib": one.peak.rss_mib - one.peak.rss_before_mib,
        "peak_rss_reset": one.peak.rss_reset,
        "cuda_allocated_mib": one.peak.cuda_allocated_mib,
        "cuda_reserved_mib": one.peak.cuda_reserved_mib,
    }


def _credible(name: str, compared: Comparison, found: audit.Audit) -> Row:
    """Return whether the times can be believed, and why not."""
    unsettled = compared.unsettled(name)
    return {
        "noisy": bool(unsettled),
        "noisy_reason": unsettled,
        "audit_passed": not found.fault,
        "audit_fault": found.fault,
        "audit_output_error": found.output_error if math.isfinite(found.output_error) else None,
        "audit_repeated_ratio": found.repeated.value if found.repeated else None,
    }
