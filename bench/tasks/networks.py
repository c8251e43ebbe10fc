"""Building a backbone to be counted or timed, and saying what is wrong with one that cannot be."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from bench.api import BenchError, Context, Invalid, Kind, Missing, Skip
from bench.metrics.cost.run import PASSED_ON, run_once
from bench.metrics.cost.sound import check_sound, random_inputs

SIDES = (4, *range(8, 65, 8), *range(80, 129, 16), *range(160, 257, 32))
"""Image sizes that are tried when a network refuses the one asked for."""


def sound_network(
    context: Context, spec: Mapping[str, Any], *, channels: int, image_size: int
) -> nn.Module:
    """Build a backbone for an image size, in evaluation mode, and run it once.

    Raises:
        Skip: If it cannot take images of that size; the smallest size that it can is named.
        Invalid: If it cannot be built, or breaks a rule that its cost depends on.
        BenchError: If it refuses to be built at any size.
    """
    try:
        network = _build(context, spec, channels, image_size)
        check_sound(network, spec["name"], *one_input(channels, image_size))
    except (Missing, Skip):
        raise
    except (BenchError, Invalid) as error:
        smallest = smallest_side(context, spec, channels, refused=image_size)
        if smallest is None:
            raise
        raise Skip(
            f"'{spec['name']}' cannot take images of {image_size}x{image_size}; the smallest that "
            f"it can are {smallest}x{smallest} ({error})"
        ) from error
    return network


def one_input(channels: int, image_size: int, batch: int = 1) -> tuple[Tensor, Tensor]:
    """Return noise images and a diffusion step."""
    return random_inputs(1, (batch, channels, image_size, image_size))[0]


def smallest_side(
    context: Context, spec: Mapping[str, Any], channels: int, *, refused: int
) -> int | None:
    """Return the smallest of `SIDES` that a network can take.

    None if there is none, or if it can take the size that it refused: then size is not the fault.
    """
    takes = (side for side in SIDES if _takes(context, spec, channels, side))
    return None if _takes(context, spec, channels, refused) else next(takes, None)


def _build(context: Context, spec: Mapping[str, Any], channels: int, side: int) -> nn.Module:
    torch.manual_seed(0)
    size = {"channels": channels, "image_size": side}
    try:
        return context.build(Kind.BACKBONE, {**spec, **size}).eval()
    except PASSED_ON:
        raise
    except Exception as error:
        raise Invalid(
            f"'{spec['name']}' cannot be built for images of {side}x{side}: "
            f"{type(error).__name__}: {error}"
        ) from error


def _takes(context: Context, spec: Mapping[str, Any], channels: int, side: int) -> bool:
    """Return whether a network runs at an image size; on the meta device, so that it costs little.

    Any fault, of whatever kind, is a no.
    """
    try:
        with torch.device("meta"):
            network = _build(context, spec, channels, side)
            inputs = torch.empty(1, channels, side, side), torch.empty(1)
        run_once(network, inputs)
    except Exception:
        return False
    return True
