"""The linear transforms of BM3D as matrices: DCT, biorthogonal 1.5, Haar, opponent colours."""

import functools
import math

import torch

LONG = (3, -3, -22, 22, 128, 128, 22, -22, -3, 3)
"""Analysis low-pass of the biorthogonal 1.5 wavelet, times 128 * sqrt(2)."""


def dct(size: int) -> torch.Tensor:
    """Return the orthonormal DCT-II [size,size], one basis vector a row, float64."""
    k = torch.arange(size, dtype=torch.float64)[:, None]
    n = torch.arange(size, dtype=torch.float64)
    rows = torch.cos(math.pi * (n + 0.5) * k / size) * math.sqrt(2 / size)
    rows[0] /= math.sqrt(2)
    return rows


def haar(size: int) -> torch.Tensor:
    """Return the full orthonormal Haar transform [size,size], size a power of two, float64.

    Row 0 is the mean times sqrt(size); the finest differences come last.
    """
    rows = torch.ones(1, 1, dtype=torch.float64)
    while len(rows) < size:
        fine = torch.kron(torch.eye(len(rows), dtype=torch.float64), torch.tensor([[1.0, -1.0]]))
        rows = torch.cat([torch.kron(rows, torch.ones(1, 2)), fine]) / math.sqrt(2)
    return rows


def bior(size: int) -> torch.Tensor:
    """Return the full biorthogonal 1.5 analysis [size,size], size a power of two, float64.

    The image is continued periodically. Rows have norm 1, so that white noise keeps its standard
    deviation in every coefficient; synthesis is the matrix inverse.

    Source: Cohen, Daubechies, Feauveau 1992, section 6.A (N = 1, dual N = 5); Dabov et al. 2007,
    section IV-A (unit norm of the basis elements).
    """
    rows = torch.eye(size, dtype=torch.float64)
    length = size
    while length > 1:
        step = torch.zeros(length, length, dtype=torch.float64)
        for k in range(length // 2):
            for n, tap in enumerate(LONG):
                step[k, (2 * k + n - 4) % length] += tap / (128 * math.sqrt(2))
            step[length // 2 + k, 2 * k] = 1 / math.sqrt(2)
            step[length // 2 + k, 2 * k + 1] = -1 / math.sqrt(2)
        rows[:length] = step @ rows[:length]
        length //= 2
    return rows / rows.norm(dim=1, keepdim=True)


@functools.cache
def pair(name: str, size: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return analysis and synthesis of flattened blocks, [size^2,size^2] each, float64.

    A block b (a row vector) has coefficients b @ analysis.T, and they give it back by
    c @ synthesis.T. Coefficient 0 is the block's mean times `size`.
    """
    forward = {"dct": dct, "bior": bior}[name](size)
    back = forward.T.contiguous() if name == "dct" else torch.linalg.inv(forward)
    return torch.kron(forward, forward), torch.kron(back, back)


@functools.cache
def opponent() -> torch.Tensor:
    """Return the orthonormal opponent colour transform [3,3], luminance first, float64.

    Source: Dabov et al. 2007, "Color image denoising via sparse 3D collaborative filtering with
    grouping constraint in luminance-chrominance space", equation 2.
    Differs: rows have norm 1, so that every channel carries noise of the same level.
    """
    rows = torch.tensor([[1.0, 1.0, 1.0], [1.0, 0.0, -1.0], [1.0, -2.0, 1.0]], dtype=torch.float64)
    return rows / rows.norm(dim=1, keepdim=True)


@functools.cache
def window(size: int, beta: float) -> torch.Tensor:
    """Return the Kaiser window [size,size] with which blocks are added up, float64."""
    line = torch.kaiser_window(size, periodic=False, beta=beta, dtype=torch.float64)
    return torch.outer(line, line)
