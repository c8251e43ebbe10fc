"""Building a denoiser or generator in the size of its data set, with its trained weights."""

from collections.abc import Mapping
from typing import Any

import torch

from bench import weight_files
from bench.api import BenchError, Cell, Context, Invalid, Kind, Level, Pretrained, options_of
from bench.batches import to_float
from bench.cell import ASSUMED
from bench.checkpoint import load_weights
from bench.seeds import seed_globals

WEIGHTS = "weights.safetensors"
GENERATOR = Kind.GENERATOR.value


def build_denoiser(cell: Cell, context: Context, dataset: Any) -> Any:
    """Build the cell's denoiser for the data set's channels and image size."""
    return _built(Kind.DENOISER, cell, context, dataset)


def trained_denoiser(cell: Cell, context: Context, dataset: Any) -> Any:
    """Build the cell's denoiser with the weights of the training cell that it uses first."""
    denoiser = build_denoiser(cell, context, dataset)
    if cell.uses:
        load_weights(context.file(cell.uses[0], WEIGHTS), denoiser)
    return denoiser.eval() if isinstance(denoiser, torch.nn.Module) else denoiser


def build_generator(cell: Cell, context: Context, dataset: Any) -> Any:
    """Build the cell's generator for the data set's channels and image size."""
    return _built(Kind.GENERATOR, cell, context, dataset)


def trained_generator(cell: Cell, context: Context, dataset: Any) -> Any:
    """Build the cell's generator with the weights of its training, or fitted where it has none."""
    generator = build_generator(cell, context, dataset)
    trainings = [used for used in cell.uses if GENERATOR in used.spec]
    if trainings:
        load_weights(context.file(trainings[0], WEIGHTS), generator)
    else:
        clean = to_float(dataset.images("train"))
        generator.fit(clean, [], NoTraining(), cell.spec["seed"])
    return generator.eval() if isinstance(generator, torch.nn.Module) else generator


def without_assumed(spec: Mapping[str, Any]) -> tuple[Mapping[str, Any], Any]:
    """Return a denoiser's specification without the sigma that it is to assume, and that sigma.

    None where it is told the truth.
    """
    if f"+{ASSUMED}=" not in spec["name"]:
        return spec, None
    name, options = options_of(spec["name"])
    sigma = options.pop(ASSUMED, None)
    return {**spec, **options, "name": name}, sigma


class NoTraining:
    """Handed to plug-ins that need none; refuses those that should have had a training cell."""

    def train(self, module: object, clean: object, seed: int) -> None:
        """Refuse."""
        raise BenchError(
            f"{type(module).__name__} wants to be trained, but what is registered has no `loss`: "
            "register the class itself, not a function that builds it"
        )


def _built(kind: Kind, cell: Cell, context: Context, dataset: Any) -> Any:
    spec = {
        **cell.spec[kind.value],
        "channels": dataset.channels,
        "image_size": dataset.image_size,
    }
    # Initial weights depend on the seed, and not on what ran before in this process.
    seed_globals("initial", cell.spec["seed"])
    built = context.build(kind, spec)
    if isinstance(built, Pretrained):
        built.take(weight_files.read(built.weights))
    return built.to(context.device) if isinstance(built, torch.nn.Module) else built


def levels_of(cell: Cell, context: Context) -> list[Level]:
    """Return the noise levels that the cell's spec lists."""
    if not cell.spec["levels"]:
        return []
    schedule = context.build(Kind.SCHEDULE)
    return [schedule.level(t) for t in cell.spec["levels"]]


def finite(images: torch.Tensor, what: str, *, first: int = 0) -> torch.Tensor:
    """Return images, of which the first has the number `first`, unchanged.

    Raises:
        Invalid: If one has a NaN or an infinity, naming the first such image.
    """
    bad = (~torch.isfinite(images)).flatten(1).any(1).nonzero().flatten().tolist()
    if bad:
        raise Invalid(
            f"{what} holds NaN or infinity in {len(bad)} image(s), first image {first + bad[0]}"
        )
    return images
