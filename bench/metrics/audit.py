"""Two audits of a timing: is what was timed what is scored, and does something remember inputs?

Source: the idea of MLPerf Inference's compliance tests TEST01 (accuracy of the timed outputs) and
    TEST04 (speed on one repeated sample against distinct samples).
Differs: their tolerances and loads are those of servers; here they are for one network call.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from bench.metrics.latency import Pace, Stopwatch, compare_latency
from bench.metrics.ratio import Ratio

TOLERANCE = 1e-6
"""Greatest difference between a timed and a scored output, as a fraction of the largest value."""
REORDERED = 1e-4
"""The same for the same sums in another order, in float32."""
BFLOAT16 = 5e-2
"""The same for products of bfloat16 numbers."""
FASTER = 0.90
"""A repeated input may take no less than so much of the time that varied inputs take."""
ROUNDS = 6
"""The fewest that bound the interval of a ratio."""

Inputs = tuple[Tensor, ...]


@dataclass(frozen=True, slots=True)
class Audit:
    """What both audits found."""

    output_error: float
    """Greatest difference of the timed from the scored output; a fraction of the largest value."""
    repeated: Ratio | None = None
    """Time on one repeated input over time on varied inputs; None where it was not looked at."""
    tolerance: float = TOLERANCE
    """Greatest difference that is none."""

    @property
    def fault(self) -> str:
        """What is wrong, in words; empty where nothing is."""
        faults = []
        if not self.output_error <= self.tolerance:
            faults.append(
                f"the timed output differs from the scored one by {self.output_error:.2g} of its "
                "largest value"
            )
        if self.repeated and self.repeated.value < FASTER and self.repeated.high < 1:
            faults.append(
                f"a repeated input takes {self.repeated.value:.0%} of the time of varied ones: "
                "something remembers it"
            )
        return "; ".join(faults)


class TimedCall:
    """One forward pass as a call without arguments, which keeps its last input and output."""

    def __init__(self, network: nn.Module, draw: Callable[[], Inputs], *, vary: bool = True):
        """Bind a network.

        Args:
            network: What is called.
            draw: Makes an input that has not been seen before.
            vary: Whether every call takes a new input.
        """
        self.network, self.draw, self.vary = network, draw, vary
        self.inputs = draw()
        self.output: Tensor | None = None

    def prepare(self) -> None:
        """Take the next input; never timed."""
        if self.vary:
            self.inputs = self.draw()

    @torch.inference_mode()
    def __call__(self) -> None:
        """Run the network."""
        self.output = self.network(*self.inputs)


def preparing(stopwatch: Stopwatch) -> Stopwatch:
    """Return a stopwatch that lets a `TimedCall` take its next input before the clock starts."""

    def timed(call: TimedCall) -> float:
        call.prepare()
        return stopwatch(call)

    return timed


def output_error(call: TimedCall, scored: nn.Module) -> float:
    """Return how far the last timed output is from what an untimed twin makes of its input."""
    with torch.inference_mode():
        expected = scored(*call.inputs)
    if expected.shape != call.output.shape:
        return float("inf")
    largest = max(float(expected.abs().max()), 1e-30)
    return float((expected - call.output).abs().max()) / largest


def repeated_input(
    network: nn.Module, draw: Callable[[], Inputs], *, rng: random.Random, stopwatch: Stopwatch
) -> Ratio:
    """Return the time on one repeated input over that on inputs never seen before."""
    # What remembers inputs has yet to see the repeated one: without a round that does not count,
    # one of the few ratios would be of two first calls, and bound the interval at 1.
    calls = {
        "varied": TimedCall(network, draw),
        "repeated": TimedCall(network, draw, vary=False),
    }
    pace = Pace(repeats=ROUNDS, warmup=1, most_rounds=ROUNDS, most_s=0.0)
    found = compare_latency(calls, pace, rng=rng, stopwatch=preparing(stopwatch))
    return found.ratios["repeated"]
