"""Fixed, padded micro-batches, so that a value does not depend on how many images there are."""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor


def blocks(count: int, size: int) -> Iterator[range]:
    """Yield the index ranges [0, size), [size, 2 size)... that cover `count` items."""
    for start in range(0, count, size):
        yield range(start, min(start + size, count))


def padded(images: Tensor, size: int) -> Tensor:
    """Return images with the last one repeated until there are `size` of them."""
    short = size - len(images)
    return torch.cat([images, images[-1:].expand(short, *images.shape[1:])]) if short else images


def padded_indices(indices: Sequence[int], size: int) -> list[int]:
    """Return indices with the last one repeated until there are `size` of them."""
    return [*indices, *[indices[-1]] * (size - len(indices))]


def to_float(images: np.ndarray) -> Tensor:
    """Return uint8 images [N,C,H,W] as float32 in [0, 1]."""
    return torch.from_numpy(images.copy()).float().div_(255)


def chosen(images: np.ndarray, count: int) -> np.ndarray:
    """Return `count` images (all, where there are fewer) in a fixed random order.

    Files often come sorted - by writer, by class, by date - and the first ones are not typical.
    """
    return images[np.random.default_rng(0).permutation(len(images))[:count]]


def to_bytes(images: Tensor) -> Tensor:
    """Return float images as uint8: clipped to [0, 1] and rounded, never wrapped around."""
    return images.clamp(0, 1).mul(255).round().to(torch.uint8).cpu()
