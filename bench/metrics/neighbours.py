"""Exact nearest neighbours in feature space in bounded memory, and what they say of memorisation.

A network that has learnt its training images by heart makes images that lie nearer to them than
other images of the same kind do.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch

from bench.api import Invalid
from bench.metrics.guard import check_features

ENTRIES = 4_000_000
"""Distances held at a time: 32 MB."""
ROUNDING = 1e-13
"""Of the squared lengths: a squared distance below it is that of a point to itself."""
CLOSEST = 8
"""Pairs that are shown."""
PERCENTILE = 1.0
"""Of the held-out images' own distances: nearer than that is suspiciously near."""


def squared_distances(
    queries: torch.Tensor, references: torch.Tensor
) -> Iterator[tuple[slice, torch.Tensor]]:
    """Yield (rows, squared distances [rows, M] in float64) of queries [N,D] to references [M,D].

    Equal points have distance 0 exactly.
    """
    # Shifting both to where the points are keeps the digits that a common offset would eat.
    centre = references.double().mean(dim=0)
    others = references.double() - centre
    lengths = others.square().sum(dim=1)
    rows = max(1, ENTRIES // len(references))
    for start in range(0, len(queries), rows):
        chunk = queries[start : start + rows].double() - centre
        own = chunk.square().sum(dim=1, keepdim=True)
        scale = own + lengths
        found = torch.addmm(scale, chunk, others.T, alpha=-2)
        yield slice(start, start + len(chunk)), found.masked_fill_(found < ROUNDING * scale, 0)


def nearest(queries: torch.Tensor, references: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the distance of each query [N,D] to its nearest reference [M,D], and its index.

    Raises:
        Invalid: If one is not a finite matrix of features of the same dimension.
    """
    check_features(references, "references", like=check_features(queries, "queries"))
    found = [chunk.min(dim=1) for _, chunk in squared_distances(queries, references)]
    distances = torch.cat([one.values for one in found]).sqrt()
    return distances, torch.cat([one.indices for one in found])


@dataclass(frozen=True, slots=True, eq=False)
class Memorisation:
    """How near generated images lie to training images, beside how near held-out ones lie."""

    generated: float
    """Median distance of a generated image to its nearest training image."""
    held_out: float
    """The same of real images that were not trained on."""
    share: float
    """Of generated images nearer than all but `PERCENTILE` % of held-out ones: by chance 0.01."""
    pairs: torch.Tensor
    """[K,2]: index of a generated and of a training image; the closest pair first."""
    distances: torch.Tensor
    """[K] of those pairs."""


def memorisation(
    generated: torch.Tensor, *, training: torch.Tensor, held_out: torch.Tensor
) -> Memorisation:
    """Return how near generated images lie to training images, from features [*,D] of each.

    Raises:
        Invalid: If one is not a finite matrix of features of the same dimension.
    """
    distances, indices = nearest(generated, training)
    own, _ = nearest(held_out, training)
    limit = torch.quantile(own, PERCENTILE / 100)
    closest = torch.sort(distances, stable=True).indices[:CLOSEST]
    return Memorisation(
        _median(distances),
        _median(own),
        float((distances < limit).double().mean()),
        torch.stack([closest, indices[closest]], dim=1),
        distances[closest],
    )


def check_enough(count: int, k: int, what: str) -> None:
    """Check that a set has a k-th nearest neighbour.

    Raises:
        Invalid: If it has not.
    """
    if count <= k:
        raise Invalid(f"{what}: {count} images, expected more than {k} for {k} neighbours")


def _median(values: torch.Tensor) -> float:
    return float(values.quantile(0.5))
