"""What is worth its cost: the points that no other one beats."""

from collections.abc import Sequence


def front(points: Sequence[tuple[float, float]]) -> list[int]:
    """Return the places of the Pareto-optimal ones of points (cost, distance), by rising cost.

    A point is beaten by another that has no larger cost and no larger distance, and one of them
    smaller. Equal points are optimal together.
    """
    found: list[int] = []
    for i in sorted(range(len(points)), key=lambda i: points[i]):
        if not found or points[i][1] < points[found[-1]][1] or points[i] == points[found[-1]]:
            found.append(i)
    return found
