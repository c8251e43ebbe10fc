"""Block matching: for every reference block the most similar blocks of a window around it.

The squared distances |a - b|^2 = |a|^2 + |b|^2 - 2 a.b of all pairs in a tile take one matrix
product.
"""

from dataclasses import dataclass

import torch

TILE = (4, 10)
"""Reference blocks (rows, columns) that share one matrix product."""


@dataclass(frozen=True, slots=True)
class Matches:
    """The blocks most similar to each reference block, tile by tile."""

    index: torch.Tensor
    """Positions [R,K] (row * columns + column), by rising distance, the reference itself first."""
    count: torch.Tensor
    """How many of them [R], at least 1, are similar; the others mean nothing."""


def match(
    features: torch.Tensor, *, step: int, radius: int, count: int, threshold: float
) -> Matches:
    """Find for each reference block the `count` nearest blocks.

    Args:
        features: One vector for the block at each position, [rows,columns,F].
        step: Distance of reference blocks, in pixels; the last row and column have some too.
        radius: Candidates lie at most so many pixels away in either direction.
        count: How many to return; at most (2 * radius + 1)^2.
        threshold: Largest squared Euclidean distance of similar blocks.

    Source: Dabov et al. 2007, equations 3 to 5, with a window of fixed size.
    """
    side = 2 * radius + 1
    margin = (radius, radius, radius, radius)
    norms = torch.nn.functional.pad(features.square().sum(2), margin, value=float("inf"))
    padded = torch.nn.functional.pad(features, (0, 0, *margin))
    rows, columns = (reference_lines(n, step, features.device) for n in features.shape[:2])
    indices, counts = [], []
    for x in columns.split(TILE[1]):
        across = slice(int(x[0]), int(x[-1]) + side)
        strip, strip_norms = padded[:, across].contiguous(), norms[:, across].contiguous()
        for y in rows.split(TILE[0]):
            down = slice(int(y[0]), int(y[-1]) + side)
            distances = _windows(strip[down], strip_norms[down], (y - y[0], x - x[0]), side)
            nearest, place = distances.topk(count, dim=1, largest=False)
            row, column = torch.cartesian_prod(y, x)[:, :, None].unbind(1)
            row, column = row + place // side - radius, column + place % side - radius
            indices.append(row * features.shape[1] + column)
            counts.append((nearest <= threshold).sum(1))
    return Matches(torch.cat(indices), torch.cat(counts))


def reference_lines(positions: int, step: int, device: torch.device | None = None) -> torch.Tensor:
    """Return every step-th of the positions 0..positions-1, and the last one."""
    regular = torch.arange(0, positions, step, device=device)
    last = torch.tensor([positions - 1], device=device)
    return regular if regular[-1] == last else torch.cat([regular, last])


def _windows(
    blocks: torch.Tensor, norms: torch.Tensor, corners: tuple[torch.Tensor, torch.Tensor], side: int
) -> torch.Tensor:
    """Return squared distances [R, side^2] of references to the blocks of their windows.

    Args:
        blocks: All blocks of a tile, [rows,columns,F].
        norms: Their squared norms, infinite where there is no block.
        corners: Rows and columns of the windows' first blocks; each reference lies in the middle
            of its window, and its distance to itself is returned as -1, so that it comes first.
        side: Side of a window, in blocks.
    """
    width = blocks.shape[1]
    flat, norms = blocks.flatten(0, 1), norms.flatten()
    first = (corners[0][:, None] * width + corners[1]).flatten()
    own = first + (side // 2) * (width + 1)
    products = flat[own] @ flat.T
    line = torch.arange(side, device=blocks.device)
    window = (line[:, None] * width + line).flatten()
    distances = (norms - 2 * products).gather(1, first[:, None] + window)
    distances += norms[own, None]
    distances[:, len(window) // 2] = -1
    return distances
