"""Train a network and look at its averaged weights on the way: images made by them, and errors.

One training serves every comparison at equal effort - updates, multiply-adds, seconds - because
its learning rate does not fall: the weights after some updates are those that a shorter training
would have left.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from bench.api import BenchError, Cell, Context, Invalid, Kind, Outcome, Row, register
from bench.batches import chosen, padded, padded_indices, to_bytes, to_float
from bench.metrics.distances import Statistics, frechet, kid_jackknife
from bench.parts import home_of, in_parts, joined, keep, read_kept
from bench.seeds import ImageNoise
from bench.tasks.denoisers import build_denoiser
from bench.tasks.features import FEATURES
from bench.tasks.frechet import leads
from bench.tasks.made import made
from bench.training import CHECKPOINT, Loop, TrainSettings
from bench.validation import THIRDS, middles, one_step_errors, points


@register(Kind.TASK, "convergence", source="Calvo-Ordonez et al. 2023, section 4.2 and Figure 3")
def convergence(cell: Cell, context: Context) -> Outcome:
    """Return the held-out error along a training, and distances of what it generates.

    A row of part "course" per look: the error of held-out images restored in one call, at a level
    in each third of the noise range. A row of part "distance" per snapshot and number of sampling
    steps: image i of a seed starts from the same noise for every network, snapshot and number.
    """
    spec = cell.spec
    dataset = context.build(Kind.DATASET)
    settings = _settings(spec)
    snapshots = snapshots_of(settings.updates, spec["fractions"])
    module = build_denoiser(cell, context, dataset)
    loop = _trained(cell, context, module, dataset, snapshots)
    rows: list[Row] = [
        {"part": "course", "updates": update, **_named(errors)}
        for update, errors in loop.validation
    ]
    real = _real(cell, context)
    for update in snapshots:
        module.load_state_dict(_kept(context, update))
        for steps in spec["sampling_steps"]:
            made = _features(cell, context, module, dataset, steps, name=f"{update}-{steps}")
            rows.append({"part": "distance", "updates": update, "steps": steps, **_far(made, real)})
    return Outcome([{**row, "updates_most": settings.updates} for row in rows])


def snapshots_of(updates: int, fractions: Sequence[float]) -> list[int]:
    """Return the updates, counted from 1, after which images are made; each once, rising."""
    return sorted({max(1, round(updates * fraction)) for fraction in fractions})


def _settings(spec: Any) -> TrainSettings:
    """Return how to train.

    Raises:
        Invalid: If the learning rate falls: then what is on the way is no shorter training.
    """
    settings = TrainSettings(**spec["training"])
    if settings.decay != "none" or settings.passes:
        raise Invalid(
            f"convergence: decay '{settings.decay}' and {settings.passes:g} passes, expected "
            "'none' and 0, so that the weights on the way are those of a shorter training"
        )
    return settings


def _trained(
    cell: Cell, context: Context, module: nn.Module, dataset: Any, snapshots: Sequence[int]
) -> Loop:
    """Train; the averaged weights of the snapshots are kept beside the checkpoint."""
    spec = cell.spec
    images = to_float(chosen(dataset.images("test"), spec["n"])).to(context.device)
    levels = middles(context.build(Kind.SCHEDULE, {"name": module.recipe.schedule}))
    errors = one_step_errors(images, levels, spec["seed"])
    settings = _settings(spec)
    looks = sorted(points(settings.updates, settings.validations).union(snapshots))

    def look(averaged: nn.Module) -> tuple[float, ...]:
        update = looks[len(loop.validation)]
        if update in snapshots:
            keep(_path(context, update), averaged.state_dict(), of=_of(context), facts={})
        return errors(averaged)

    loop = Loop.of(cell, context, mirrors=dataset.mirrors, validate=look)
    loop.also = snapshots
    module.fit(to_float(dataset.images("train")), [], loop, spec["seed"])
    return loop


def _path(context: Context, update: int) -> Any:
    return home_of(context) / f"after-{update}.safetensors"


def _of(context: Context) -> str:
    return f"{context.partial.name}/snapshot"


def _kept(context: Context, update: int) -> dict[str, Tensor]:
    """Return the averaged weights after an update.

    Raises:
        BenchError: If their file was lost; the training then begins anew the next time.
    """
    kept = read_kept(_path(context, update), of=_of(context))
    if kept is None:
        (home_of(context) / CHECKPOINT).unlink(missing_ok=True)
        raise BenchError(f"the weights kept after update {update} are lost or damaged; run again")
    return kept[0]


def _features(
    cell: Cell, context: Context, module: Any, dataset: Any, steps: int, *, name: str
) -> Tensor:
    """Return the features [n, D] of images that the network makes in so many steps."""
    spec = cell.spec
    sampler = context.sampler(spec["sampler"]["name"])
    extractor = _extractor(cell, context)
    size = spec["micro_batch"]
    shape = (dataset.channels, dataset.image_size, dataset.image_size)

    def make(block: range) -> dict[str, Tensor]:
        indices = padded_indices(block, size)
        noise = ImageNoise("sample", spec["seed"], images=indices)
        x = noise(torch.empty(size, *shape, device=context.device))
        states = module.generate(x, noise, steps=steps, sampler=sampler, spacing=spec["spacing"])
        images, _ = made(states, x, block, spec["sampler"]["name"], module)
        # As a set of images is: eight bits.
        seen = to_float(to_bytes(images).numpy())
        return {"features": extractor(padded(seen, size).to(context.device))[: len(block)]}

    parts = in_parts(context, make, count=spec["n_generated"], size=size, name=name)
    return joined(parts)["features"]


def _extractor(cell: Cell, context: Context) -> Callable[[Tensor], Tensor]:
    return context.build(Kind.FEATURES).to(context.device).eval()


def _real(cell: Cell, context: Context) -> Tensor:
    """Return the features of the real images that are scored."""
    return load_file(context.file(cell.uses[0], FEATURES))["features"][: cell.spec["n_real"]]


def _far(made: Tensor, real: Tensor) -> Row:
    """Return the distances of a generated set."""
    blocks = min(8, len(made) // 2, len(real) // 2)
    kernel = kid_jackknife(made, real, blocks)
    return {
        "kid": kernel.value,
        "kid_se": kernel.standard_error,
        "frechet": frechet(Statistics.of(made), Statistics.of(real)),
        "n_generated": len(made),
        "n_real": len(real),
        "dimension": made.shape[1],
        "leads": leads(len(made), len(real), made.shape[1]),
    }


def _named(errors: Sequence[float]) -> Row:
    return {f"mse_{third}": error for third, error in zip(THIRDS, errors, strict=True)}
