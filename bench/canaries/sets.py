"""Known answers of the distances between sets of images."""

import math
from collections.abc import Iterator

import torch

from bench.canaries.canary import Canary
from bench.metrics.distances import Statistics, frechet, kid
from bench.seeds import generator

DIMENSION = 8
KID_SET = 256
STANDARD_ERRORS = 4
"""Beyond so many, equal distributions do not look equal by chance (once in 10,000 times)."""


def set_canaries() -> Iterator[Canary]:
    """Yield them."""
    yield _of_normals()
    yield _of_samples()
    one = _normal("one", 64)
    yield Canary(
        "frechet-to-itself",
        0.0,
        1e-9,
        lambda: frechet(Statistics.of(one), Statistics.of(one)),
        "definition",
    )
    interval = kid(_normal("one", KID_SET), _normal("other", KID_SET))
    yield Canary(
        "kid-of-equal-distributions",
        0.0,
        STANDARD_ERRORS * interval.standard_error,
        lambda: interval.value,
        f"unbiased; the tolerance is {STANDARD_ERRORS} standard errors of {KID_SET} images each",
    )


def _of_normals() -> Canary:
    """Two normal distributions in the plane whose covariances do not commute.

    tr sqrt(A B) = sqrt(tr(A B) + 2 sqrt(det(A) det(B))) for 2 x 2 covariances.
    """
    root_a = torch.tensor([[2.0, 1.0], [0.0, 1.0]], dtype=torch.float64)
    root_b = torch.tensor([[1.0, 0.0], [1.5, 3.0]], dtype=torch.float64)
    shift = torch.tensor([1.0, -2.0], dtype=torch.float64)
    # A = R_a^T R_a = [[4, 2], [2, 2]], det 4; B = R_b^T R_b = [[3.25, 4.5], [4.5, 9]], det 9.
    product = 4 * 3.25 + 2 * (2 * 4.5) + 2 * 9
    expected = 5 + (4 + 2) + (3.25 + 9) - 2 * math.sqrt(product + 2 * math.sqrt(4 * 9))
    normals = Statistics.gaussian(0 * shift, root_a), Statistics.gaussian(shift, root_b)
    return Canary(
        "frechet-of-normals",
        expected,
        1e-9,
        lambda: frechet(*normals),
        "closed form for 2 x 2 covariances",
    )


def _of_samples() -> Canary:
    """Two sets with one point each way along every axis, so that their covariance is exact.

    Mean 0 and variances 2 s_i^2 / (2 D - 1): the distance is the sum of (s_i - r_i)^2 times that
    factor, plus the squared shift.
    """
    first = torch.arange(1, DIMENSION + 1, dtype=torch.float64)
    second = first.flip(0).sqrt()
    factor = 2 / (2 * DIMENSION - 1)
    expected = factor * float((first - second).square().sum()) + DIMENSION * 0.5**2
    sets = _cross(first), _cross(second) + 0.5
    return Canary(
        "frechet-of-samples",
        expected,
        1e-9,
        lambda: frechet(Statistics.of(sets[0]), Statistics.of(sets[1])),
        "closed form for commuting covariances",
    )


def _cross(scales: torch.Tensor) -> torch.Tensor:
    return torch.cat((torch.diag(scales), -torch.diag(scales)))


def _normal(name: str, count: int) -> torch.Tensor:
    return torch.randn(count, DIMENSION, generator=generator("canary", name), dtype=torch.float64)
