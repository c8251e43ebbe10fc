"""What noise alone does to a picture, in closed form."""

import numpy as np
import torch

GREY_LEVELS = 256


def noise_mse(picture: np.ndarray, sigma_255: float) -> float:
    """Return the expected mean squared error of a noisy picture, clipped and rounded to 8 bits.

    Exact: a pixel of value v becomes k with the probability that v + sigma * eps lies within half
    a grey level of k (and beyond, at both ends), for normal eps.

    Args:
        picture: uint8, of any shape.
        sigma_255: Standard deviation of the noise in grey levels, above 0.

    Returns:
        The error on the [0, 1] scale.
    """
    value = torch.arange(GREY_LEVELS, dtype=torch.float64)
    edges = (value[:-1] + 0.5 - value[:, None]) / sigma_255
    below = torch.special.ndtr(edges)  # [v, k]: at most k after rounding
    ends = torch.zeros(GREY_LEVELS, 1, dtype=torch.float64)
    chances = torch.diff(torch.cat([ends, below, ends + 1], dim=1), dim=1)
    errors = (chances * (value - value[:, None]).square()).sum(dim=1) / 255**2
    counts = np.bincount(picture.reshape(-1), minlength=GREY_LEVELS)
    return float(errors @ torch.from_numpy(counts).double()) / picture.size
