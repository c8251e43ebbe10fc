"""Time one network call of several backbones, interleaved, alone on the machine."""

import functools
import random

import torch

from bench.api import Cell, Context, Kind, Outcome, Skip, register
from bench.metrics.latency import measure_latency, synchronizer
from bench.metrics.memory import measure_peak
from bench.seeds import seed_of


@register(Kind.TASK, "latency", source="protocol, Table 1 and Determinism")
def latency(cell: Cell, context: Context) -> Outcome:
    """Measure median and quartiles per network, the networks taking turns in random order."""
    spec = cell.spec
    if context.device == "cuda" and not torch.cuda.is_available():
        raise Skip("no CUDA device on this machine")
    torch.set_num_threads(spec["threads"])
    inputs = _inputs(spec, context.device)
    calls, peaks = {}, {}
    for network in spec["backbone"]:
        call = _call(network, inputs, cell, context)
        peaks[network["name"]] = measure_peak(call, context.device)
        calls[network["name"]] = call
    timings = measure_latency(
        calls,
        repeats=spec["repeats"],
        warmup=spec["warmup"],
        rng=random.Random(seed_of("latency", sorted(calls))),
        synchronize=synchronizer(context.device),
    )
    rows = [
        {
            "backbone": network["name"],
            "scale": network["scale"],
            "device": context.device,
            "latency_s": timings[network["name"]].median_s,
            "latency_q1_s": timings[network["name"]].q1_s,
            "latency_q3_s": timings[network["name"]].q3_s,
            "samples_s": list(timings[network["name"]].samples),
            "noisy": timings[network["name"]].noisy,
            "peak_rss_mib": peaks[network["name"]].rss_mib,
            "peak_rss_rise_mib": peaks[network["name"]].rss_mib
            - peaks[network["name"]].rss_before_mib,
            "peak_rss_reset": peaks[network["name"]].rss_reset,
        }
        for network in spec["backbone"]
    ]
    return Outcome(rows)


def _inputs(spec, device: str) -> tuple[torch.Tensor, torch.Tensor]:
    shape = (spec["batch"], spec["channels"], spec["image_size"], spec["image_size"])
    x = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    return x.to(device), torch.full((spec["batch"],), 500.0, device=device)


def _call(network, inputs, cell: Cell, context: Context):
    """Return one forward pass of a freshly built network as a call without arguments."""
    size = {"channels": cell.spec["channels"], "image_size": cell.spec["image_size"]}
    torch.manual_seed(0)
    built = context.build(Kind.BACKBONE, {**network, **size}).to(context.device).eval()
    return functools.partial(_forward, built, inputs)


@torch.inference_mode()
def _forward(network: torch.nn.Module, inputs: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
    return network(*inputs)
