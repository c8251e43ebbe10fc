"""Did the networks learn? Held-out one-step denoising against the Wiener filter."""

from collections.abc import Iterator

from bench.api import Cell, Kind, register
from bench.experiments import cells
from bench.plan import Study
from bench.registry import DIFFUSION

FLOOR = "wiener"
"""The best linear denoiser: what a network should beat."""
LEVELS = tuple(1000 * (2 * k + 1) // 12 for k in range(6))
"""Two noising steps in each third of the range, at a quarter and three quarters of it."""


@register(Kind.EXPERIMENT, "training", source="protocol, Training: the Wiener filter is the floor")
def plan(study: Study) -> Iterator[Cell]:
    """Yield the cells of this experiment."""
    yield from cells.canaries(study)
    for t in LEVELS:
        yield cells.one_step(study, FLOOR, t)
        for backbone in study.budget.backbones:
            yield cells.one_step(study, f"{DIFFUSION}{backbone}", t)
