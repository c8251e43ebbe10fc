"""Building a denoiser in the size of its data set, and giving it its trained weights."""

from typing import Any

import torch

from bench.api import Cell, Context, Invalid, Kind, Level
from bench.seeds import seed_globals
from bench.training import load_weights

WEIGHTS = "weights.safetensors"


def build_denoiser(cell: Cell, context: Context, dataset: Any) -> Any:
    """Build the cell's denoiser for the data set's channels and image size."""
    spec = {
        **cell.spec["denoiser"],
        "channels": dataset.channels,
        "image_size": dataset.image_size,
    }
    # Initial weights depend on the seed, and not on what ran before in this process.
    seed_globals("initial", cell.spec["seed"])
    denoiser = context.build(Kind.DENOISER, spec)
    return denoiser.to(context.device) if isinstance(denoiser, torch.nn.Module) else denoiser


def trained_denoiser(cell: Cell, context: Context, dataset: Any) -> Any:
    """Build the cell's denoiser with the weights of the training cell that it uses."""
    denoiser = build_denoiser(cell, context, dataset)
    if cell.uses:
        load_weights(context.file(cell.uses[0], WEIGHTS), denoiser)
    return denoiser.eval() if isinstance(denoiser, torch.nn.Module) else denoiser


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
