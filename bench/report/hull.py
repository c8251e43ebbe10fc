"""The lower envelope of measured points: an upper bound on the perception-distortion function.

P(D), the best perception at a distortion of at most D, is non-increasing, and convex where the
distance between distributions is convex in its second argument (Blau and Michaeli 2018, theorem 2).
Choosing at random between two methods reaches every point between theirs, or one below it; so P(D)
lies on or below the lower convex hull of what was measured, and its flat continuation to the right.
"""

from collections.abc import Sequence

import numpy as np

Point = tuple[float, float]
"""Distortion, and what is to be small at that distortion."""


def lower_hull(points: Sequence[Point]) -> list[int]:
    """Return the places of the corners of the convex, decreasing lower envelope, by rising x.

    It begins at the lowest of the leftmost points and ends at the leftmost of the lowest; points
    on a straight piece between corners are left out.

    Source: Andrew 1979, the lower half of the monotone chain, cut off where it would rise.
    """
    if not len(points):
        return []
    corners: list[int] = []
    for i in sorted(range(len(points)), key=lambda i: points[i]):
        if corners and points[i][1] >= min(points[j][1] for j in corners):
            continue  # not below what is to its left: the envelope is flat from there
        while len(corners) > 1 and not _turns_up(*(points[j] for j in (*corners[-2:], i))):
            corners.pop()
        corners.append(i)
    return corners


def _turns_up(a: Point, b: Point, c: Point) -> bool:
    """Return whether the way from a over b to c turns to the left."""
    return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0]) > 0


def envelope(points: Sequence[Point], x: Sequence[float]) -> np.ndarray:
    """Return the envelope's height at each x: infinite left of all points, flat right of them."""
    corners = np.array([points[i] for i in lower_hull(points)], dtype=np.float64).reshape(-1, 2)
    if not len(corners):
        return np.full(len(x), np.inf)
    return np.interp(x, corners[:, 0], corners[:, 1], left=np.inf)
