"""How far two sets of points are apart, as laws: the sliced Wasserstein distance."""

import math

import torch
from torch import Tensor

DIRECTIONS = 64


def sliced_wasserstein(a: Tensor, b: Tensor, directions: int = DIRECTIONS) -> float:
    """Return the mean over directions of the Wasserstein-1 distance of the projections.

    In the plane the directions are evenly spaced, elsewhere random and always the same.

    Source: Rabin et al. 2011; Bonneel et al. 2015.

    Args:
        a: Points [N, ...], flattened to [N, D].
        b: As many.
        directions: How many.
    """
    a, b = a.flatten(1), b.flatten(1)
    if a.shape[1] == 2:
        angles = torch.arange(directions, dtype=a.dtype) * math.pi / directions
        u = torch.stack([angles.cos(), angles.sin()])
    else:
        rng = torch.Generator().manual_seed(0)
        u = torch.randn(a.shape[1], directions, generator=rng, dtype=a.dtype)
        u = u / u.norm(dim=0)
    gap = (a @ u).sort(dim=0).values - (b @ u).sort(dim=0).values
    return float(gap.abs().mean())
