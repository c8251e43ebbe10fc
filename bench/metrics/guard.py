"""Checks on everything that enters a metric.

A NaN that reaches a linear algebra routine can end the process without an exception, and a value
outside [0, 1] makes SSIM and LPIPS silently mean something else: so both are refused here.
"""

import math

import torch

from bench.api import Invalid

TOLERANCE = 1e-6
"""How far a pixel may lie outside [0, 1]: rounding of a clamp in single precision."""
LARGEST = torch.finfo(torch.float32).max
"""Of a feature: no network in single precision yields more, and the sixth powers of the kernel
distance still fit into double precision. Beyond it a product overflows to a NaN."""
DTYPES = (torch.float32, torch.float64)
"""Half precision is refused: bfloat16 cannot hold 256 grey levels, so that an error would be
measured which is not the method's; who means it writes `.float()` where the images are made."""


def check_images(x: torch.Tensor, name: str, *, like: torch.Tensor | None = None) -> torch.Tensor:
    """Return `x` if it is a batch of images [B,C,H,W] in [0, 1].

    Args:
        x: The images, float32 or float64.
        name: What the error calls them.
        like: Images that must have the same shape and be on the same device.

    Raises:
        Invalid: If type, dimensions, shape or a value is not as expected.
    """
    found = _not_numbers(x)
    if found:
        raise Invalid(
            f"{name}: found {found}, expected a float tensor (32 or 64 bits) [B,C,H,W] in [0, 1]"
        )
    if x.ndim != 4 or x.numel() == 0:
        raise Invalid(f"{name}: found shape {list(x.shape)}, expected images [B,C,H,W]")
    if like is not None and x.shape != like.shape:
        raise Invalid(f"{name}: found shape {list(x.shape)}, expected {list(like.shape)}")
    if like is not None and x.device != like.device:
        raise Invalid(f"{name}: found on {x.device}, expected on {like.device}")
    low, high = _range(x, name)
    if low < -TOLERANCE or high > 1 + TOLERANCE:
        raise Invalid(
            f"{name}: values from {low:.6g} to {high:.6g}, expected [0, 1]; clamp before measuring"
        )
    return x


def check_features(x: torch.Tensor, name: str, *, like: torch.Tensor | None = None) -> torch.Tensor:
    """Return `x`, without its gradient, if it is a finite matrix [N,D] of features.

    Args:
        x: The features, float32 or float64.
        name: What the error calls them.
        like: Features that must have the same dimension D and be on the same device.

    Raises:
        Invalid: If it is not such a matrix.
    """
    found = _not_numbers(x)
    if found:
        raise Invalid(f"{name}: found {found}, expected float features (32 or 64 bits) [N,D]")
    if x.ndim != 2 or x.numel() == 0:
        raise Invalid(f"{name}: found {list(x.shape)}, expected float features [N,D]")
    if like is not None and x.shape[1] != like.shape[1]:
        raise Invalid(f"{name}: dimension {x.shape[1]}, expected {like.shape[1]}")
    if like is not None and x.device != like.device:
        raise Invalid(f"{name}: found on {x.device}, expected on {like.device}")
    low, high = _range(x, name)
    if max(-low, high) > LARGEST:
        raise Invalid(
            f"{name}: values from {low:.3g} to {high:.3g}, expected at most {LARGEST:.3g}"
        )
    return x.detach()


def check_finite(x: torch.Tensor, name: str) -> torch.Tensor:
    """Return `x` if every value is finite.

    Raises:
        Invalid: If there is a NaN or an infinity.
    """
    if x.numel():
        _range(x, name)
    return x


def _not_numbers(x: object) -> str:
    """Return what `x` is instead of a plain tensor of 32 or 64 bit floats; "" where it is one."""
    if not isinstance(x, torch.Tensor):
        return type(x).__name__
    if x.layout is not torch.strided or x.is_meta:
        return "a tensor without values" if x.is_meta else f"layout {x.layout}"
    return "" if x.dtype in DTYPES else str(x.dtype)


def _range(x: torch.Tensor, name: str) -> tuple[float, float]:
    """Return the least and the largest value.

    One pass, a tenth of the time of `isfinite`: the extremes are NaN if any value is, and infinite
    if any value is. What is wrong is counted only when something is.

    Raises:
        Invalid: If a value is NaN or infinite.
    """
    low, high = (extreme.item() for extreme in x.detach().aminmax())
    if not (math.isfinite(low) and math.isfinite(high)):
        wrong = int((~torch.isfinite(x)).sum())
        raise Invalid(
            f"{name}: {wrong} of {x.numel()} values are NaN or infinite, expected finite ones"
        )
    return low, high
