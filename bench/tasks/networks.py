"""Building a backbone to be counted or timed, and saying what is wrong with one that cannot be."""

import itertools
import time
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from bench.api import BenchError, Context, Invalid, Kind, Missing, Skip
from bench.metrics.cost.run import PASSED_ON, run_once
from bench.metrics.cost.sound import check_sound, random_inputs

SIDES = (*range(1, 65), *range(72, 257, 8))
"""Image sizes that are tried when a network refuses the one asked for."""
SLOW_S = 20.0
"""After so long without a size that fits, none is named."""


def sound_network(
    context: Context, spec: Mapping[str, Any], *, channels: int, image_size: int
) -> nn.Module:
    """Build a backbone for an image size, in evaluation mode, and run it once.

    Raises:
        Skip: If it cannot take images of that size; the smallest size that it can is named.
        Invalid: If it cannot be built, or breaks a rule that its cost depends on.
    """
    try:
        network = _build(context, spec, channels, image_size)
        check_sound(network, spec["name"], *one_input(channels, image_size))
    except (Missing, Skip):
        raise
    except (BenchError, Invalid) as error:
        smallest = smallest_side(context, spec, channels, refused=image_size)
        if smallest is None:
            raise Invalid(str(error)) from error
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
    if _takes(context, spec, channels, refused):
        return None
    end = time.monotonic() + SLOW_S
    tried = itertools.takewhile(lambda side: time.monotonic() < end, SIDES)
    return next((side for side in tried if _takes(context, spec, channels, side)), None)


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
    """Return whether a network runs at an image size.

    On the meta device, so that it costs little; a network that must look at its numbers runs with
    numbers. Any fault, of whatever kind, is a no.
    """
    for device in ("meta", "cpu"):
        try:
            with torch.device(device):
                network = _build(context, spec, channels, side)
                run_once(network, tuple(x.to(device) for x in one_input(channels, side)))
            return True
        except Exception as error:
            if "meta" not in str(error).lower():
                break
    return False
