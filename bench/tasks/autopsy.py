"""The same restored images scored again by other protocols: how far protocol alone moves a number.

All combinations of the choices are scored, so that what each of them contributes does not depend on
the order in which they are made (see `bench.shapley`).
"""

from collections.abc import Mapping

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor

from bench.api import Cell, Context, Invalid, Kind, Outcome, Row, register
from bench.batches import chosen, padded, to_float
from bench.metrics.lpips import LPIPS
from bench.parts import in_parts, joined
from bench.seeds import seed_of
from bench.shapley import shapley
from bench.tasks.denoise import RESTORED
from bench.tasks.protocols import CHOICES, OURS, Choice, metrics, resize_words, scores
from bench.tasks.restore import STATES
from bench.tasks.scoring import HIGHER_IS_BETTER

RESAMPLES = 400
"""Of the images, for the intervals."""
EACH = 10
"""Images that are told apart, where one image is scored."""
ESTIMATE, STEP, ONE = "estimate", "step", "images"
Values = dict[Choice, np.ndarray]
"""Choices that are made otherwise -> the values [cases]."""


@register(Kind.TASK, "autopsy", source="own; protocol, Gap autopsy")
def autopsy(cell: Cell, context: Context) -> Outcome:
    """Score the images of the cells used by every combination of choices.

    It uses one `restore` cell; or `denoise` cells, for which the spec's `otherwise` names the
    choices that each of them makes otherwise.
    """
    sets, calls = _sets(cell, context)
    count, size = next(iter(sets.values())).shape[1], cell.spec["micro_batch"]
    clean = to_float(chosen(context.build(Kind.DATASET).images("test"), count))
    scorers = metrics(LPIPS().to(context.device).eval())

    def make(block: range) -> dict[str, Tensor]:
        here = {
            name: torch.stack([_batch(one[list(block)], size) for one in images], dim=1)
            for name, images in sets.items()
        }
        truth = padded(clean[list(block)], size).to(context.device)
        found = scores({k: v.to(context.device) for k, v in here.items()}, truth, scorers)
        return {_key(*name): values[: len(block)] for name, values in found.items()}

    whole = joined(in_parts(context, make, count=count, size=size))
    about = {"n": count, "states": len(calls), "kept_calls": calls}
    rows: list[Row] = []
    for metric in scorers:
        mine = {
            frozenset(key.split("|")[1].split("+")) - {""}: values.numpy()
            for key, values in sorted(whole.items())
            if key.startswith(f"{metric}|")
        }
        height, width = clean.shape[-2:]
        words = {**CHOICES, "size": (CHOICES["size"][0], resize_words(height, width, metric))}
        rows += [{"metric": metric, **row} for row in _rows(mine, metric, words, cell.spec["seed"])]
    return Outcome([{**about, **row} for row in rows])


def _batch(images: Tensor, size: int) -> Tensor:
    return padded(images.float().div_(255), size)


def _key(metric: str, choice: Choice) -> str:
    return f"{metric}|{'+'.join(sorted(choice))}"


def _sets(cell: Cell, context: Context) -> tuple[dict[Choice, Tensor], list[int]]:
    """Return choices -> bytes [states,N,C,H,W] of what is scored, and the calls of the states.

    Raises:
        Invalid: If the sets are not of the same images, or there are fewer than two of them.
    """
    if cell.uses[0].task == "restore":
        kept = load_file(context.file(cell.uses[0], STATES))
        sets = {OURS: kept["current"], frozenset({ESTIMATE}): kept["x0"]}
        calls = kept["calls"].tolist()
    else:
        made = [load_file(context.file(one, RESTORED))["restored"][None] for one in cell.uses]
        names = [frozenset(one) for one in cell.spec["otherwise"]]
        sets, calls = dict(zip(names, made, strict=True)), [1]
    shapes = {tuple(images.shape) for images in sets.values()}
    if len(shapes) > 1:
        raise Invalid(f"autopsy: sets of {sorted(shapes)}, expected the same images in all")
    count = next(iter(shapes))[1]
    if count < 2:
        raise Invalid(
            f"autopsy: {count} restored image, expected 2 or more: one image has no interval"
        )
    return sets, calls


def _rows(
    found: Mapping[Choice, np.ndarray],
    metric: str,
    words: Mapping[str, tuple[str, str]],
    seed: int,
) -> list[Row]:
    """Return a row for every combination of choices and one for every choice, of one metric.

    Args:
        found: Choices -> scores [images, states].
        metric: Its name.
        words: What every choice is.
        seed: Of the resamples.
    """
    higher = HIGHER_IS_BETTER[metric]
    order = np.arange(len(next(iter(found.values()))))
    rng = np.random.default_rng(seed_of("autopsy", metric, seed))
    drawn = np.stack([order, *rng.choice(order, (RESAMPLES, len(order)))])
    values = _with_further(found, every=drawn, ones=drawn, higher=higher)
    rows: list[Row] = [
        {"part": "choice", "otherwise": sorted(names), "value": float(value[0])}
        for names, value in values.items()
    ]
    # Which image is the one is a matter of luck: what it does, for every image.
    alone = _with_further(found, every=order[None], ones=order[:, None], higher=higher)
    lucky = shapley(alone)[ONE]
    for name, change in shapley(values).items():
        low, high = np.quantile(lucky if name == ONE else change[1:], (0.025, 0.975))
        ours, otherwise = words[name]
        row = {"part": "contribution", "choice": name, "ours": ours, "alternative": otherwise}
        row |= {"contribution": float(change[0]), "low": float(low), "high": float(high)}
        if name == ONE:
            row["contribution_of_each"] = [float(value) for value in lucky[:EACH]]
        rows.append(row)
    return rows


def _with_further(
    found: Mapping[Choice, np.ndarray], *, every: np.ndarray, ones: np.ndarray, higher: bool
) -> Values:
    """Return the values of some cases, with the choices of step and number of images besides.

    Args:
        found: Choices -> scores [images, states].
        every: The images of each case where all are scored, [cases or 1, images].
        ones: Those of which each is the one, where one is scored: the mean of what each gives.
        higher: Whether the best is the largest.
    """
    best = np.max if higher else np.min
    stepped = next(iter(found.values())).shape[1] > 1
    values: Values = {}
    for names, table in found.items():
        together = table[every].mean(axis=1)
        values[names] = best(together, axis=1)
        # The best step of one image is chosen on that image.
        values[names | {ONE}] = best(table, axis=1)[ones].mean(axis=1)
        if stepped:
            values[names | {STEP}] = together[:, -1]
            values[names | {STEP, ONE}] = table[:, -1][ones].mean(axis=1)
    return values
