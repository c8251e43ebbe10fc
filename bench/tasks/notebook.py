"""Restore one image as the notebook of Calvo-Ordonez et al. does, to explain gaps to their tables.

Its noise is added to an image in [0, 1] at a guessed level, and the sum is handed to the network
as a state, which lives in [-1, 1]; the network goes down from a guessed step, and every state is
scored as it is, not rescaled. Two variants, both as they stand there: where one network is followed
step by step, the noisy image is clipped, every step adds noise of 0.005, and SSIM is told no data
range; where two networks are compared, nothing is clipped or added, and the data range is 1.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from bench.api import Cell, Context, Kind, Noise, Outcome, Row, register
from bench.batches import chosen, to_float
from bench.metrics.fidelity import mse
from bench.metrics.ssim import NOTEBOOK_RANGE, ssim_authors
from bench.seeds import ImageNoise
from bench.tasks.against import Against
from bench.tasks.denoisers import finite, trained_denoiser
from bench.tasks.scoring import HIGHER_IS_BETTER, Scorer

PROTOCOL = "authors-notebook"
STEPS = 100
"""Where the reverse process begins, whatever the noise."""
HIGHER = {**HIGHER_IS_BETTER, "ssim_authors": True}


@dataclass(frozen=True, slots=True)
class Variant:
    """One way in which the notebook restores."""

    name: str
    clipped: bool
    """Whether the noisy image is clipped to [0, 1]."""
    std: float
    """Noise of every step, the last included, on the scale of states."""
    data_range: float
    """That SSIM is told, or takes where it is told none."""


VARIANTS = (
    Variant("follow", clipped=True, std=0.005, data_range=NOTEBOOK_RANGE),
    Variant("compare", clipped=False, std=0.0, data_range=1.0),
)


@register(Kind.TASK, "notebook", source="Calvo-Ordonez et al. 2023, released notebook; protocol")
def notebook(cell: Cell, context: Context) -> Outcome:
    """Score every state of one test image by the notebook's SSIM and by ours; return its best.

    Differs: the image is the first test image, not one of those trained on; the number of steps
        that a network call makes is the budget's; states are clipped for the metrics.
    """
    dataset = context.build(Kind.DATASET)
    denoiser = trained_denoiser(cell, context, dataset)
    sigmas = cell.spec["sigmas"]
    ways = [(sigma, variant) for sigma in sigmas for variant in VARIANTS]
    image = to_float(chosen(dataset.images("test"), 1)).to(context.device)
    clean = image.expand(len(ways), -1, -1, -1).contiguous()
    noisy = _noisy(clean, ways, cell, dataset.name)
    against = Against.of(Scorer.on(context.device), clean)
    curves: list[dict[str, Tensor]] = []
    with torch.inference_mode():
        for calls, state in enumerate(_states(denoiser, noisy, ways, cell)):
            finite(state, f"the estimate after {calls} calls")
            curves.append(_scores(state, clean, against, ways))
    rows = [
        {**_about(sigma, variant, image), **row}
        for place, (sigma, variant) in enumerate(ways)
        for row in _rows([{k: float(v[place]) for k, v in scores.items()} for scores in curves])
    ]
    return Outcome(rows)


def _noisy(clean: Tensor, ways: list[tuple[float, Variant]], cell: Cell, name: str) -> Tensor:
    """Return the noisy images: one noise, whatever the level and the variant."""
    noise = ImageNoise("notebook", name, cell.spec["seed"], images=[0])(clean[:1])
    noisy = [
        (one + sigma * noise[0]).clamp(0, 1) if variant.clipped else one + sigma * noise[0]
        for one, (sigma, variant) in zip(clean, ways, strict=True)
    ]
    return torch.stack(noisy)


def _states(
    denoiser: Any, noisy: Tensor, ways: list[tuple[float, Variant]], cell: Cell
) -> Iterator[Tensor]:
    """Yield the states before the first and after every call, on the scale of states.

    The sampler's own noise has deviation 1 and is scaled here, image by image, so that all the
    variants go down together.
    """
    scale = torch.tensor([variant.std for _, variant in ways]).view(-1, 1, 1, 1).to(noisy)
    stream = ImageNoise("notebook-steps", cell.spec["seed"], images=[0] * len(ways))
    noise: Noise = lambda like: scale * stream(like)  # noqa: E731
    calls = max(1, STEPS // cell.spec["stride"])
    states = denoiser.generate(noisy, noise, steps=calls, sampler="ddpm+std=1", start=float(STEPS))
    share = denoiser.diffusion.schedule.share
    for state in states:
        # Estimates are rescaled images; the notebook scores the state itself.
        x = noisy if state.calls == 0 else (2 * state.current - 1) * share(state.t) ** 0.5
        yield x + noise(x) if state.calls == calls else x


def _scores(
    state: Tensor, clean: Tensor, against: Against, ways: list[tuple[float, Variant]]
) -> dict[str, Tensor]:
    """Return metric -> [ways]: ours of the clipped states, and the notebook's two."""
    shown = state.clamp(0, 1)
    theirs = [
        ssim_authors(shown[i : i + 1], clean[i : i + 1], data_range=variant.data_range)
        for i, (_, variant) in enumerate(ways)
    ]
    return against(state) | {"ssim_authors": torch.cat(theirs), "mse": mse(shown, clean)}


def _about(sigma: float, variant: Variant, image: Tensor) -> Row:
    return {
        "protocol": PROTOCOL,
        "variant": variant.name,
        "sigma": sigma,
        "t": STEPS,
        "n": 1,
        "channels": image.shape[1],
        "split": "test",
        "step_noise": variant.std,
        "clipped": variant.clipped,
        "data_range": variant.data_range,
    }


def _rows(curve: list[dict[str, float]]) -> list[Row]:
    rows: list[Row] = [{"part": "curve", "calls": i, **values} for i, values in enumerate(curve)]
    for metric, higher in HIGHER.items():
        values = [scores[metric] for scores in curve]
        best = values.index(max(values) if higher else min(values))
        rows.append(
            {
                "part": "best",
                "metric": metric,
                "best_value": values[best],
                "best_calls": best,
                "total_calls": len(values) - 1,
            }
        )
    return rows
