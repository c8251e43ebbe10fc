"""What a network must do before its cost means anything."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from bench.api import Invalid
from bench.metrics.cost.run import counting, run_once
from bench.metrics.cost.sides import evaluations


def check_sound(module: nn.Module, name: str, *inputs: Tensor) -> None:
    """Run a network once and refuse it if its cost would mean nothing.

    Raises:
        Invalid: If it has no parameters, fails, returns another shape than that of its first
            input, or a NaN or an infinity, or changes its input.
    """
    if not any(True for _ in module.parameters()):
        raise Invalid(
            f"'{name}' has no parameters, expected a network; register it as a denoiser if it "
            "learns nothing"
        )
    given = tuple(x.clone() for x in inputs)
    output = run_once(module, given)
    if not output.is_meta and not bool(output.isfinite().all()):
        raise Invalid(f"'{name}' returns NaN or infinity, expected a finite image")
    changed = [n for n, (x, y) in enumerate(zip(inputs, given, strict=True)) if not _same(x, y)]
    if changed:
        raise Invalid(
            f"'{name}' changed its input number {changed[0] + 1} in place, so that a second call "
            "would see other data; let it work on a copy"
        )


def _same(x: Tensor, y: Tensor) -> bool:
    return x.shape == y.shape and (x.is_meta or bool(((x == y) | (x.isnan() & y.isnan())).all()))


def cost_of_inputs(
    module: nn.Module, inputs: Sequence[tuple[Tensor, ...]]
) -> list[tuple[int, int]]:
    """Return FLOPs that ran and ODE evaluations (0 for a discrete network) for every input.

    Raises:
        Invalid: If the network fails, or reports other evaluations than it made.
    """
    found = []
    for each in inputs:
        with FlopCounterMode(display=False) as counter, counting(module, each):
            nfe = evaluations(module, *each)
        found.append((counter.get_total_flops(), nfe))
    return found


def is_adaptive(module: nn.Module) -> bool:
    """Return whether a network solves ODEs with steps that depend on the data."""
    scheme = getattr(getattr(module, "integrator", None), "scheme", None)
    return bool(getattr(scheme, "adaptive", False))


def random_inputs(
    count: int, shape: tuple[int, int, int, int], steps: float = 1000.0
) -> list[tuple[Tensor, Tensor]]:
    """Return noise images with diffusion steps spread evenly; always the same ones."""
    drawn = torch.Generator().manual_seed(0)
    return [
        (torch.randn(shape, generator=drawn), torch.full(shape[:1], steps * (n + 0.5) / count))
        for n in range(count)
    ]


def extreme_inputs(
    shape: tuple[int, int, int, int], last: float = 999.0
) -> list[tuple[Tensor, Tensor]]:
    """Return noise at the first diffusion step, and a flat image at the last."""
    noise = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    return [(noise, torch.zeros(shape[:1])), (torch.zeros(shape), torch.full(shape[:1], last))]
