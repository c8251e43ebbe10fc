"""Checks on everything that enters a metric.

A NaN that reaches a linear algebra routine can end the process without an exception, and a value
outside [0, 1] makes SSIM and LPIPS silently mean something else: so both are refused here.
"""

import torch

from bench.api import Invalid

TOLERANCE = 1e-6
"""How far a pixel may lie outside [0, 1]: rounding of a clamp in single precision."""


def check_images(x: torch.Tensor, name: str, *, like: torch.Tensor | None = None) -> torch.Tensor:
    """Return `x` if it is a batch of images [B,C,H,W] in [0, 1].

    Args:
        x: The images.
        name: What the error calls them.
        like: Images that must have the same shape.

    Raises:
        Invalid: If type, dimensions, shape or a value is not as expected.
    """
    if not isinstance(x, torch.Tensor) or not x.is_floating_point():
        found = x.dtype if isinstance(x, torch.Tensor) else type(x).__name__
        raise Invalid(f"{name}: found {found}, expected a float tensor [B,C,H,W] in [0, 1]")
    if x.ndim != 4 or x.numel() == 0:
        raise Invalid(f"{name}: found shape {list(x.shape)}, expected images [B,C,H,W]")
    if like is not None and x.shape != like.shape:
        raise Invalid(f"{name}: found shape {list(x.shape)}, expected {list(like.shape)}")
    low, high = check_finite(x, name).aminmax()
    if low < -TOLERANCE or high > 1 + TOLERANCE:
        raise Invalid(
            f"{name}: values from {low:.6g} to {high:.6g}, expected [0, 1]; clamp before measuring"
        )
    return x


def check_features(x: torch.Tensor, name: str, *, like: torch.Tensor | None = None) -> torch.Tensor:
    """Return `x` if it is a finite matrix [N,D] of features.

    Raises:
        Invalid: If it is not, or if its dimension D is not that of `like`.
    """
    if not isinstance(x, torch.Tensor) or not x.is_floating_point() or x.ndim != 2 or 0 in x.shape:
        found = list(x.shape) if isinstance(x, torch.Tensor) else type(x).__name__
        raise Invalid(f"{name}: found {found}, expected float features [N,D]")
    if like is not None and x.shape[1] != like.shape[1]:
        raise Invalid(f"{name}: dimension {x.shape[1]}, expected {like.shape[1]}")
    return check_finite(x, name)


def check_finite(x: torch.Tensor, name: str) -> torch.Tensor:
    """Return `x` if every value is finite.

    Raises:
        Invalid: If there is a NaN or an infinity.
    """
    finite = torch.isfinite(x)
    if not finite.all():
        wrong = int((~finite).sum())
        raise Invalid(f"{name}: {wrong} of {x.numel()} values are NaN or infinite")
    return x
