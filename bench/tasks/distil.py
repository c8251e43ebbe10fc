"""Distil a trained diffusion network into one that needs half the sampling steps."""

from typing import Any

import torch
from torch import nn

from bench.api import BenchError, Cell, Context, Kind, Outcome, register
from bench.batches import chosen, to_float
from bench.checkpoint import save_weights
from bench.parts import in_parts
from bench.seeds import generator
from bench.tasks.denoisers import WEIGHTS, build_denoiser, trained_denoiser
from bench.training import Loop, write_curve

HELD_OUT = 64
"""Most held-out images whose loss is measured."""
BATCH = 32


@register(Kind.TASK, "distil", source="Salimans and Ho 2022, algorithm 2")
def distil(cell: Cell, context: Context) -> Outcome:
    """Train a student of `steps` steps; keep its averaged weights, like those of a training.

    In one process: what a student learns in so few updates is not worth a second.
    """
    spec, steps = cell.spec, cell.spec["steps"]
    _refuse_other_steps(cell)
    dataset = context.build(Kind.DATASET)
    clean = to_float(dataset.images("train"))
    teacher = trained_denoiser(cell, context, dataset)
    student = build_denoiser(cell, context, dataset)
    pair = {"teacher": teacher, "student": student, "steps": steps}
    both = context.build(Kind.DISTILLATION, {**spec["distillation"], **pair})
    untouched = held_out_loss(both, dataset, context, name="before")
    loop = Loop.of(cell, context, mirrors=dataset.mirrors)
    loop.train(both, clean, spec["seed"])
    weights, curve = context.folder / WEIGHTS, context.folder / "curve.csv"
    recipe = student.recipe
    about = {"prediction": recipe.prediction, "schedule": recipe.schedule}
    save_weights(weights, student, {"spec": dict(spec), **about})
    write_curve(curve, loop.curve)
    last = [loss for _, loss in loop.curve[-100:]]
    row = {
        "updates": len(loop.curve),
        "images_seen": len(loop.curve) * loop.settings.batch,
        "n_train": len(clean),
        "steps": steps,
        "teacher_steps": 2 * steps,
        "loss_last": sum(last) / len(last),
        "loss_held_out": held_out_loss(both, dataset, context, name="after"),
        "loss_held_out_undistilled": untouched,
    }
    return Outcome([row], {WEIGHTS: weights, "curve.csv": curve})


def held_out_loss(both: nn.Module, dataset: Any, context: Context, *, name: str) -> float:
    """Return the mean loss on images that training never saw, noise and levels always the same."""
    images = to_float(chosen(dataset.images("test"), HELD_OUT))

    def total(numbers: range) -> dict[str, torch.Tensor]:
        here = images[list(numbers)].to(context.device)
        loss = both.eval().loss(here, generator("held-out", numbers.start))
        return {"total": torch.tensor([len(numbers) * float(loss)], dtype=torch.float64)}

    parts = in_parts(context, total, count=len(images), size=BATCH, name=name)
    return sum(float(part["total"]) for part in parts) / len(images)


def _refuse_other_steps(cell: Cell) -> None:
    """Refuse a teacher that was itself distilled for another number of steps.

    Raises:
        BenchError: If there is no teacher, or it makes other steps than two for each of these.
    """
    if not cell.uses:
        raise BenchError("distil: no teacher; expected a cell 'train' or 'distil' that it uses")
    teacher, steps = cell.uses[0], cell.spec["steps"]
    if teacher.task == "distil" and teacher.spec["steps"] != 2 * steps:
        raise BenchError(
            f"distil: the teacher was distilled for {teacher.spec['steps']} steps, expected "
            f"{2 * steps} for a student of {steps}"
        )
