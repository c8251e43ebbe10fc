"""Train a denoiser or a generator on a data set: weights, loss curve, validation curve, loss."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from bench.api import Cell, Context, Invalid, Kind, Level, Outcome, register
from bench.batches import blocks, chosen, to_float
from bench.checkpoint import load_weights, save_weights
from bench.parts import in_parts
from bench.peers import peers
from bench.seeds import generator
from bench.shipped import BEGUN, CHECKPOINT, entry
from bench.tasks.denoisers import GENERATOR, WEIGHTS, build_denoiser, build_generator, levels_of
from bench.tasks.taken import bring, load, refuse_other_data, taken
from bench.training import Loop, TrainSettings, write_curve
from bench.validation import IMAGES, VALIDATION, ends, middles, one_step_errors, write_validation

HELD_OUT = 512
"""Most held-out images whose loss is measured."""
REPEATS = 4
"""How often noise and levels are drawn for it."""


@register(Kind.TASK, "train", source="protocol, Recipes")
def train(cell: Cell, context: Context) -> Outcome:
    """Run the training loop and keep the averaged weights; or take those of a set."""
    if CHECKPOINT in cell.spec:
        return _taken(cell, context)
    settings = TrainSettings(**cell.spec["training"])
    begun = cell.spec.get(BEGUN, {})
    earlier = _curves(begun)
    with peers(cell, context, settings.processes):
        module, loop, dataset = trained(cell, context)
    if not loop.curve:
        raise Invalid(
            f"{type(module).__name__}.fit trained nothing though it has a `loss`, expected it to "
            "call trainer.train(self, clean, seed)"
        )
    weights, curve = context.folder / WEIGHTS, context.folder / "curve.csv"
    save_weights(weights, module, {"spec": dict(cell.spec), **_conventions(module)})
    write_curve(curve, [(loop.before + update, loss) for update, loss in loop.curve])
    files = {WEIGHTS: weights, "curve.csv": curve}
    if loop.validation:
        files[VALIDATION] = context.folder / VALIDATION
        found = [(loop.before + update, errors) for update, errors in loop.validation]
        write_validation(files[VALIDATION], found)
    _join(earlier, files)
    last = [loss for _, loss in loop.curve[-100:]]
    row = {
        "updates": loop.before + len(loop.curve),
        "images_seen": begun.get("images_seen", 0) + len(loop.curve) * settings.batch,
        "n_train": len(dataset.images("train")),
        "loss_last": sum(last) / len(last),
        "loss_held_out": held_out_loss(module, _held_out(dataset, HELD_OUT), context),
        "levels": "-".join(str(t) for t in cell.spec.get("levels", ())) or "all",
    }
    if loop.validate is not None:
        again = build_denoiser(cell, context, dataset)
        load_weights(weights, again)
        refuse_forgetful(loop.validate, module.eval(), again.eval())
    return Outcome([row], files)


def refuse_forgetful(
    validate: Callable[[nn.Module], tuple[float, ...]], module: nn.Module, again: nn.Module
) -> None:
    """Refuse a denoiser that its weights do not make again: other cells have nothing else of it.

    Args:
        validate: Measures a denoiser.
        module: As training left it.
        again: As it was built, with the weights that were kept.

    Raises:
        Invalid: If the second denoises otherwise, or cannot.
    """
    name = type(module).__name__
    what = "fit keeps what it learns in tensors of the state_dict: use register_buffer"
    try:
        found = validate(again)
    except Exception as error:
        raise Invalid(
            f"{name} cannot denoise with its weights alone ({type(error).__name__}: {error}), "
            f"expected that {what}"
        ) from error
    if not np.allclose(found, validate(module), rtol=1e-2, atol=1e-12, equal_nan=True):
        raise Invalid(f"{name} denoises otherwise with its weights alone, expected that {what}")


def _taken(cell: Cell, context: Context) -> Outcome:
    """Take a network of a set; its loss on held-out images is measured here."""
    dataset = context.build(Kind.DATASET)
    module, entry = taken(cell, context, dataset)
    weights = context.folder / WEIGHTS
    save_weights(weights, module, {"spec": dict(cell.spec), **_conventions(module)})
    row = {
        **entry.row,
        "loss_held_out": held_out_loss(module, _held_out(dataset, HELD_OUT), context),
        "loss_held_out_float32": entry.row["loss_held_out"],
    }
    return Outcome([row], {WEIGHTS: weights, **bring(entry, context)})


def _curves(begun: Mapping[str, Any]) -> dict[str, str]:
    """Return the curves of the network that is gone on from, by name; none of other images' losses.

    They are read before the training: its set may have another network when that ends.
    """
    if not begun or "image_size" in begun:
        return {}
    one = entry(begun)
    return {name: one.file(name).read_text() for name in one.files if name.endswith(".csv")}


def _join(earlier: Mapping[str, str], files: Mapping[str, Path]) -> None:
    """Put the curves of the network that was gone on from before those of its going on."""
    for name in earlier.keys() & files.keys():
        _, *later = files[name].read_text().splitlines(keepends=True)
        files[name].write_text("".join([earlier[name], *later]))


def trained(cell: Cell, context: Context) -> tuple[nn.Module, Loop, Any]:
    """Return the trained module, the loop that trained it and the data set.

    Every process of a training runs this, with the same seeds.
    """
    dataset = context.build(Kind.DATASET)
    clean = to_float(dataset.images("train"))
    build = build_generator if GENERATOR in cell.spec else build_denoiser
    module = build(cell, context, dataset)
    levels = levels_of(cell, context) if cell.spec.get("levels") else []
    if BEGUN in cell.spec:
        begun = entry(cell.spec[BEGUN])
        refuse_other_data(begun, dataset)
        load(begun, module)
    validate = _validation(cell, context, module, levels, dataset)
    loop = Loop.of(cell, context, mirrors=dataset.mirrors, validate=validate)
    module.fit(clean, levels, loop, cell.spec["seed"])
    return module, loop, dataset


def _validation(
    cell: Cell, context: Context, module: nn.Module, levels: Sequence[Level], dataset: Any
) -> Callable[[nn.Module], tuple[float, ...]] | None:
    """Return what measures a denoiser meanwhile: over its schedule, or at the levels it learns."""
    recipe = getattr(module, "recipe", None)
    if recipe is not None:
        levels = middles(context.build(Kind.SCHEDULE, {"name": recipe.schedule}))
    if not levels or not hasattr(module, "denoise"):
        return None
    images = _held_out(dataset, IMAGES).to(context.device)
    return one_step_errors(images, levels if recipe else ends(levels), cell.spec["seed"])


def _held_out(dataset: Any, count: int) -> torch.Tensor:
    images: np.ndarray = dataset.images("test")
    return to_float(chosen(images, count))


def _conventions(module: nn.Module) -> dict[str, str]:
    """Return what whoever uses the weights elsewhere must know of them."""
    recipe = getattr(module, "recipe", None)
    if recipe is None:
        return {}
    return {"prediction": recipe.prediction, "schedule": recipe.schedule}


def held_out_loss(module: nn.Module, images: torch.Tensor, context: Context) -> float:
    """Return the mean loss of the averaged weights on images that training never saw.

    Noise and levels are drawn anew each time, the same for every network.
    """

    def total(repeats: range) -> dict[str, torch.Tensor]:
        result = 0.0
        for repeat in repeats:
            for block in blocks(len(images), 64):
                rng = generator("held-out", repeat, block.start)
                loss = module.loss(images[list(block)].to(context.device), rng)
                result += len(block) * float(loss)
        return {"total": torch.tensor([result], dtype=torch.float64)}

    parts = in_parts(context, total, count=REPEATS, size=1, name="held-out")
    return sum(float(part["total"]) for part in parts) / (REPEATS * len(images))
