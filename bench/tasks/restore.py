"""Restore noised images step by step with a diffusion network (Tables 2 and 3).

After every network call the current estimate is scored, in both readings of protocol.md: the
rescaled current sample ("current", the paper's) and the predicted clean image ("x0"). Scored
besides are convex combinations of the posterior mean (what the first call predicts) and the sample
(where the process ends): the ends of the trade of perception against distortion.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor

from bench.api import Cell, Context, Estimate, Invalid, Kind, Outcome, Row, register
from bench.batches import to_bytes
from bench.parts import in_parts, joined
from bench.shards import batches, shardable
from bench.statistics import best_of_curve
from bench.tasks.against import Against
from bench.tasks.denoise import RESTORED, SHOWN
from bench.tasks.denoisers import finite, trained_denoiser
from bench.tasks.noised import Batch, Noised
from bench.tasks.scoring import HIGHER_IS_BETTER, Scorer, summary
from bench.tasks.solved import explained
from bench.tasks.thinned import Thinned

ESTIMATES = ("current", "x0")
FRAMES = 24
"""Most frames of the reverse process kept for the animation."""
SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)
"""Of the posterior mean in a combination with the sample."""
PATH = 4
"""States on the way, the noisy images among them, of which all images are kept."""
STATES = "states.safetensors"
"""Both estimates of some states, for scores by other protocols."""
KEPT = 6
"""How many states those are, beside that after the first call and the last."""


@register(Kind.TASK, "restore", source="Calvo-Ordonez et al. 2023, Tables 2 and 3; protocol")
@shardable(batches)
def restore(cell: Cell, context: Context) -> Outcome:
    """Score every step; return the mean curves, their best points and example images."""
    dataset = context.build(Kind.DATASET)
    noised = Noised.of(cell, context, dataset)
    denoiser = trained_denoiser(cell, context, dataset)
    scorer = Scorer.on(context.device)
    size = cell.spec["micro_batch"]

    def make(block: range) -> dict[str, Tensor]:
        batch = noised.batch(block)
        stride, noisy = cell.spec["stride"], batch.noisy

        def states() -> Iterable[Estimate]:
            return denoiser.restore(noisy, noised.level, batch.noise, stride=stride)

        try:
            return _follow(states(), batch, scorer, first=block.start)
        except Invalid as fault:
            raise explained(fault, denoiser, lambda: list(states())) from None

    whole = joined(in_parts(context, make, count=len(noised.clean), size=size))
    curves = {
        (estimate, metric): whole[f"{estimate}/{metric}"].numpy()
        for estimate in ESTIMATES
        for metric in HIGHER_IS_BETTER
    }
    seed = cell.spec["seed"]
    rows = [*_rows(curves, seed), *_combination_rows(whole, seed)]
    about = {"protocol": "paper", **noised.about()}
    examples, restored = context.folder / "examples.safetensors", context.folder / RESTORED
    begin = noised.batch(range(min(size, len(noised.clean))))
    save_file(_examples(begin, whole["shown"], curves), examples)
    save_file(_sets(whole), restored)
    states_file = context.folder / STATES
    save_file(_states(whole), states_file)
    files = {examples.name: examples, RESTORED: restored, STATES: states_file}
    return Outcome([{**about, **row} for row in rows], files)


def _follow(
    states: Iterable[Estimate], batch: Batch, scorer: Scorer, *, first: int
) -> dict[str, Tensor]:
    """Score one batch's states as they come.

    Returns:
        "<estimate>/<metric>" -> scores [images, states]; "combination/<metric>" -> scores
        [images, shares]; "combination" -> those images, "path" -> the images of some states, of
        the calls in "path_calls"; of the batch that begins the set also "shown", its first images
        in every state. "states" [images, states, estimates, ...] and "states_calls" are both
        estimates of some states, of that after the first call and of the last.
    """
    against = Against.of(scorer, batch.clean)
    scores, path, kept = defaultdict(list), Thinned(PATH), Thinned(KEPT, always=(1,))
    mean = sample = batch.noisy
    for state in states:
        current, x0 = (_checked(images, state.calls, batch, first=first) for images in _both(state))
        found = against(current)
        for metric, values in found.items():
            scores[f"current/{metric}"].append(values[: batch.real])
        # They are one image before the first call, and after the last.
        for metric, values in (found if torch.equal(current, x0) else against(x0)).items():
            scores[f"x0/{metric}"].append(values[: batch.real])
        if state.calls == 1:
            mean = x0
        sample = current
        both = torch.stack([to_bytes(images[: batch.real]) for images in (current, x0)], dim=1)
        path.add(state.calls, both[:, 0])
        kept.add(state.calls, both)
        if first == 0:
            scores["shown"].append(to_bytes(current[: min(SHOWN, batch.real)]))
    made = {
        name: torch.stack(values, dim=0 if name == "shown" else 1)
        for name, values in scores.items()
    }
    calls, images = path.chosen()
    made |= {"path": torch.stack(images, dim=1), "path_calls": torch.tensor([calls])}
    calls, images = kept.with_ends()
    made |= {"states": torch.stack(images, dim=1), "states_calls": torch.tensor([calls])}
    return made | _combined(mean, sample, against, real=batch.real)


def _both(state: Estimate) -> tuple[Tensor, Tensor]:
    return state.current, state.x0


def _checked(images: Tensor, calls: int, batch: Batch, *, first: int) -> Tensor:
    """Return an estimate if it is one.

    Raises:
        Invalid: If its size is not that of the images, or one has a NaN or an infinity.
    """
    where = f"the estimate after {calls} call{'' if calls == 1 else 's'}"
    if images.shape != batch.clean.shape:
        raise Invalid(
            f"{where} has shape {list(images.shape)}, expected {list(batch.clean.shape)}, in the "
            f"batch of image {first}"
        )
    finite(images[: batch.real], where, first=first)
    return images


def _combined(mean: Tensor, sample: Tensor, against: Against, *, real: int) -> dict[str, Tensor]:
    """Return the combinations of posterior mean and sample [images, shares, ...] and scores.

    Source: Freirich, Michaeli, Meir 2021: such combinations are optimal between the two ends.
    Differs: the end of best perception is a sample of the posterior; theirs is the optimal
        transport of the mean, which has a smaller error.
    """
    images, scores = [], defaultdict(list)
    for share in SHARES:
        # Exactly the one or the other at the ends.
        one = sample if share == 0 else mean if share == 1 else share * mean + (1 - share) * sample
        images.append(to_bytes(one[:real]))
        for metric, values in against(one).items():
            scores[f"combination/{metric}"].append(values[:real])
    stacked = {name: torch.stack(values, dim=1) for name, values in scores.items()}
    return stacked | {"combination": torch.stack(images, dim=1)}


def _rows(curves: dict[tuple[str, str], np.ndarray], seed: int) -> list[Row]:
    rows: list[Row] = []
    for estimate in ESTIMATES:
        scores = {metric: _counted(curves[estimate, metric]) for metric in HIGHER_IS_BETTER}
        means = {metric: scored.mean(axis=0) for metric, scored in scores.items() if len(scored)}
        means["mse"] = (10 ** (-curves[estimate, "psnr"] / 10)).mean(axis=0)
        for calls in range(len(means["ssim"])):
            values = {metric: float(mean[calls]) for metric, mean in means.items()}
            rows.append({"part": "curve", "estimate": estimate, "calls": calls, **values})
        for metric, higher in HIGHER_IS_BETTER.items():
            scored = scores[metric]
            if len(scored) < 2:  # all others are exact: no mean PSNR, as in `summary`
                continue
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
                    "exact": len(curves[estimate, metric]) - len(scored),
                    "per_image": [float(value) for value in scored[:, best.index]],
                    "per_image_disjoint": list(best.disjoint),
                }
            )
    return rows


def _counted(scores: np.ndarray) -> np.ndarray:
    """Return the scores [images, states] of the images that have a number in every state.

    One that is restored exactly has an infinite PSNR, and is counted apart (protocol, Faults).
    """
    return scores[np.isfinite(scores).all(axis=1)]


def _combination_rows(whole: Mapping[str, Tensor], seed: int) -> list[Row]:
    rows: list[Row] = []
    for place, share in enumerate(SHARES):
        scores = {metric: whole[f"combination/{metric}"][:, place] for metric in HIGHER_IS_BETTER}
        means = summary(scores, seed)
        means = {name: value for name, value in means.items() if not name.endswith("_per_image")}
        rows.append({"part": "combination", "share_of_mean": share, **means})
    return rows


def _sets(whole: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return all restored images by set [sets, images, C,H,W], and what the sets are."""
    sets = {name: whole[name].transpose(0, 1) for name in ("path", "combination")}
    sets |= {"path_calls": whole["path_calls"][0], "shares_of_mean": torch.tensor(SHARES)}
    return {name: value.contiguous().clone() for name, value in sets.items()}


def _states(whole: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return both estimates of the kept states, each [states, images, C,H,W], and their calls."""
    kept = whole["states"].permute(2, 1, 0, *range(3, whole["states"].dim()))
    sets = dict(zip(ESTIMATES, kept, strict=True)) | {"calls": whole["states_calls"][0]}
    return {name: value.contiguous().clone() for name, value in sets.items()}


def _examples(
    batch: Batch, seen: Tensor, curves: dict[tuple[str, str], np.ndarray]
) -> dict[str, Tensor]:
    """Return what the pictures need: clean, noisy, best and final images, frames of the first.

    Beside the images of a state stand their scores, such as "best_lpips/ssim".
    """
    last = len(seen) - 1
    states = {"noisy": 0, "final": last} | {
        f"best_{metric}": best_of_curve(
            curves["current", metric], higher_is_better=HIGHER_IS_BETTER[metric], resamples=1
        ).index
        for metric in ("ssim", "lpips")
    }
    count = seen.shape[1]
    frames = np.unique(np.linspace(0, last, FRAMES).round().astype(int))
    shown = {name: seen[place] for name, place in states.items()}
    shown |= {
        "clean": to_bytes(batch.clean[:count]),
        "noisy": to_bytes(batch.noisy[:count]),
        "movie": seen[torch.from_numpy(frames), 0],
        "movie_calls": torch.from_numpy(frames),
    }
    shown |= {
        f"{name}/{metric}": torch.from_numpy(curves["current", metric][:count, place].copy())
        for name, place in states.items()
        for metric in HIGHER_IS_BETTER
    }
    return {name: images.contiguous().clone() for name, images in shown.items()}
