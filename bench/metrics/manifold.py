"""Precision, recall, density and coverage: fidelity and variety apart, from nearest neighbours."""

from dataclasses import dataclass

import torch

from bench.metrics.guard import check_features
from bench.metrics.neighbours import check_enough, squared_distances

NEIGHBOURS_PRECISION = 3
NEIGHBOURS_DENSITY = 5


@dataclass(frozen=True, slots=True)
class Manifold:
    """Shares of images inside the balls around the other set's images; 1 for equal sets."""

    precision: float
    """Of generated images that lie where real ones are: fidelity."""
    recall: float
    """Of real images that lie where generated ones are: variety."""
    density: float
    """How many real balls hold a generated image, in units of k; may exceed 1."""
    coverage: float
    """Of real images whose ball holds a generated one."""


def manifold(*, real: torch.Tensor, generated: torch.Tensor) -> Manifold:
    """Return precision, recall, density and coverage of features [N,D] and [M,D].

    Source: Kynkäänniemi et al. 2019 for precision and recall, k = 3; Naeem et al. 2020 for density
    and coverage, k = 5. A ball reaches to the k-th nearest neighbour in the image's own set.
    Differs: a ball holds its surface, so that a set of equal images covers itself; for density,
    which is to be 1 for equal sets, it does not, as in its authors' code: equal sets have less
    than 1 where two neighbours are equally far.

    Raises:
        Invalid: If a set is not a finite matrix, or has no more images than neighbours.
    """
    check_features(generated, "generated", like=check_features(real, "real"))
    few, many = NEIGHBOURS_PRECISION, NEIGHBOURS_DENSITY
    check_enough(len(real), many, "real")
    check_enough(len(generated), many, "generated")
    real_radii = _radii(real, (few, many))
    (generated_radii,) = _radii(generated, (few,))
    inside = torch.zeros(len(generated), dtype=torch.bool)
    recalled = covered = balls = 0
    for rows, squared in squared_distances(real, generated):
        near, far = (radii[rows, None] for radii in real_radii)
        inside |= (squared <= near).any(dim=0)
        recalled += int((squared <= generated_radii).any(dim=1).sum())
        covered += int((squared <= far).any(dim=1).sum())
        balls += int((squared < far).sum())
    return Manifold(
        precision=float(inside.double().mean()),
        recall=recalled / len(real),
        density=balls / (many * len(generated)),
        coverage=covered / len(real),
    )


def _radii(features: torch.Tensor, neighbours: tuple[int, ...]) -> list[torch.Tensor]:
    """Return the squared distance to the k-th nearest other image of the set, for several k."""
    found = []
    for _, squared in squared_distances(features, features):
        # The nearest is the image itself, so the k-th other one is at place k.
        found.append(squared.topk(max(neighbours) + 1, dim=1, largest=False).values)
    nearest = torch.cat(found)
    return [nearest[:, k] for k in neighbours]
