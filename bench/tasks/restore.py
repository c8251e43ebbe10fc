"""Restore noised images step by step with a diffusion network (Tables 2 and 3).

After every network call the current estimate is scored, in both readings of protocol.md: the
rescaled current sample ("current", the paper's) and the predicted clean image ("x0").
"""

from collections import defaultdict
from collections.abc import Iterable

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor

from bench.api import Cell, Context, Estimate, Kind, Outcome, Row, register
from bench.batches import to_bytes
from bench.parts import in_parts, joined
from bench.statistics import best_of_curve
from bench.tasks.denoise import SHOWN
from bench.tasks.denoisers import finite, trained_denoiser
from bench.tasks.noised import Batch, Noised
from bench.tasks.scoring import HIGHER_IS_BETTER, Scorer

ESTIMATES = ("current", "x0")
FRAMES = 24
"""Most frames of the reverse process kept for the animation."""


@register(Kind.TASK, "restore", source="Calvo-Ordonez et al. 2023, Tables 2 and 3; protocol")
def restore(cell: Cell, context: Context) -> Outcome:
    """Score every step; return the mean curves, their best points and example images."""
    dataset = context.build(Kind.DATASET)
    noised = Noised.of(cell, context, dataset)
    denoiser = trained_denoiser(cell, context, dataset)
    scorer = Scorer.on(context.device)
    size = cell.spec["micro_batch"]

    def make(block: range) -> dict[str, Tensor]:
        batch = noised.batch(block)
        states = denoiser.restore(
            batch.noisy, noised.level, batch.noise, stride=cell.spec["stride"]
        )
        return _follow(states, batch, scorer, first=block.start)

    whole = joined(in_parts(context, make, count=len(noised.clean), size=size))
    curves = {
        (estimate, metric): whole[f"{estimate}/{metric}"].numpy()
        for estimate in ESTIMATES
        for metric in HIGHER_IS_BETTER
    }
    rows = [{**noised.about(), **row} for row in _rows(curves, cell.spec["seed"])]
    path = context.folder / "examples.safetensors"
    begin = noised.batch(range(min(size, len(noised.clean))))
    save_file(_examples(begin, whole["shown"], curves), path)
    return Outcome(rows, {path.name: path})


def _follow(
    states: Iterable[Estimate], batch: Batch, scorer: Scorer, *, first: int
) -> dict[str, Tensor]:
    """Score one batch's states as they come.

    Returns:
        "<estimate>/<metric>" -> scores [images, states]; of the batch that begins the set also
        "shown", its first images in every state.
    """
    scores = defaultdict(list)
    for state in states:
        for estimate in ESTIMATES:
            images = state.current if estimate == "current" else state.x0
            where = f"the estimate after {state.calls} calls"
            finite(images[: batch.real], where, first=first)
            for metric, values in scorer(images, batch.clean).items():
                scores[f"{estimate}/{metric}"].append(values[: batch.real])
        if first == 0:
            scores["shown"].append(to_bytes(state.current[: min(SHOWN, batch.real)]))
    return {
        name: torch.stack(values, dim=0 if name == "shown" else 1)
        for name, values in scores.items()
    }


def _rows(curves: dict[tuple[str, str], np.ndarray], seed: int) -> list[Row]:
    rows: list[Row] = []
    for estimate in ESTIMATES:
        means = {metric: curves[estimate, metric].mean(axis=0) for metric in HIGHER_IS_BETTER}
        for calls in range(len(means["psnr"])):
            values = {metric: float(mean[calls]) for metric, mean in means.items()}
            rows.append({"part": "curve", "estimate": estimate, "calls": calls, **values})
        for metric, higher in HIGHER_IS_BETTER.items():
            scored = curves[estimate, metric]
            best = best_of_curve(scored, higher_is_better=higher, seed=seed)
            rows.append(
                {
                    "part": "best",
                    "estimate": estimate,
                    "metric": metric,
                    "best_value": best.value,
                    "best_low": best.low,
                    "best_high": best.high,
                    "best_calls": best.index,
                    "best_calls_low": best.index_low,
                    "best_calls_high": best.index_high,
                    "disjoint_calls": list(best.index_disjoint),
                    "disjoint_value": best.value_disjoint,
                    "total_calls": scored.shape[1] - 1,
                    "per_image": [float(value) for value in scored[:, best.index]],
                }
            )
    return rows


def _examples(
    batch: Batch, seen: Tensor, curves: dict[tuple[str, str], np.ndarray]
) -> dict[str, Tensor]:
    """Return what the pictures need: clean, noisy, best and final images, frames of the first."""
    best = {
        metric: best_of_curve(
            curves["current", metric], higher_is_better=HIGHER_IS_BETTER[metric], resamples=1
        ).index
        for metric in ("ssim", "lpips")
    }
    count = seen.shape[1]
    frames = np.unique(np.linspace(0, len(seen) - 1, FRAMES).round().astype(int))
    shown = {
        "clean": to_bytes(batch.clean[:count]),
        "noisy": to_bytes(batch.noisy[:count]),
        "best_ssim": seen[best["ssim"]],
        "best_lpips": seen[best["lpips"]],
        "final": seen[-1],
        "movie": seen[torch.from_numpy(frames), 0],
    }
    return {name: images.contiguous().clone() for name, images in shown.items()}
