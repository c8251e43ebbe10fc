"""The two stages of BM3D: collaborative hard thresholding, then collaborative Wiener filtering.

Blocks are filtered and added up as coefficients, one row for the block at each position; they are
transformed back at the end, once a position, because that is linear.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch

from baselines import _bm3d_transforms as transforms
from baselines._bm3d_matching import Matches, match

CHUNK = 2**17
"""Coefficients that are filtered at once; measured: much more or less takes longer."""


@dataclass(frozen=True, slots=True)
class Stage:
    """Parameters of one stage. Lengths in pixels, differences on the [0, 1] scale."""

    transform: str
    """Of blocks: "dct" or "bior"."""
    block: int
    """Side of a block."""
    step: int
    """Distance of reference blocks."""
    group: int
    """Largest number of blocks in a group, a power of two."""
    similar: float
    """Largest mean squared difference of similar blocks."""
    radius: int = 19
    """Similar blocks lie at most so far away in either direction."""
    beta: float = 2.0
    """Of the Kaiser window."""
    threshold: float = 0.0
    """Smaller coefficients of groups, in units of sigma, become 0 (first stage): of luminance,"""
    colour_threshold: float = 0.0
    """and of the two other channels."""


def hard_threshold(noisy: torch.Tensor, sigma: float, stage: Stage) -> torch.Tensor:
    """Return the basic estimate [C,H,W] of a noisy image [C,H,W] with luminance in channel 0.

    Source: Dabov et al. 2007, section III-A; weights by equation 10.
    Differs: the mean of a group is always kept, so that the estimate follows the image when a
    constant is added to it.
    """
    coefficients = analyse(noisy, stage)
    total = Total(coefficients)
    for index, haar in grouped(matches(noisy[0], stage, len(noisy)), coefficients):
        groups = spectra(coefficients, index, haar)
        limits = (stage.threshold, *[stage.colour_threshold] * (len(noisy) - 1))
        parts = zip(groups.unbind(2), limits, strict=True)
        kept = torch.stack([torch.nn.functional.hardshrink(g, k * sigma) for g, k in parts], dim=2)
        kept[:, 0, :, 0] = groups[:, 0, :, 0]
        survivors = torch.linalg.vector_norm(kept, 0, dim=(1, 3)).clamp(min=1)
        total.add(index, haar, kept, 1 / survivors)
    return total.image(stage)


def wiener(noisy: torch.Tensor, basic: torch.Tensor, sigma: float, stage: Stage) -> torch.Tensor:
    """Return the final estimate [C,H,W] from a noisy image and its basic estimate [C,H,W].

    Source: Dabov et al. 2007, section III-B; weights by equation 11.
    Differs: the mean of a group is always kept, as in the first stage.
    """
    observed, pilot = analyse(noisy, stage), analyse(basic, stage)
    variance = max(sigma**2, torch.finfo(noisy.dtype).tiny)  # 0 would divide 0 by 0
    total = Total(observed)
    for index, haar in grouped(matches(basic[0], stage, len(noisy)), observed):
        gain = spectra(pilot, index, haar).square_()
        gain /= gain + variance
        gain[:, 0, :, 0] = 1
        weights = torch.linalg.vector_norm(gain, dim=(1, 3)) ** -2
        total.add(index, haar, gain.mul_(spectra(observed, index, haar)), weights)
    return total.image(stage)


def blocks(image: torch.Tensor, size: int) -> torch.Tensor:
    """Return the blocks [rows,columns,C,size^2] at all positions of an image [C,H,W]."""
    return image.unfold(1, size, 1).unfold(2, size, 1).permute(1, 2, 0, 3, 4).flatten(3)


def analyse(image: torch.Tensor, stage: Stage) -> torch.Tensor:
    """Return the coefficients [rows,columns,C,block^2] of all blocks of an image [C,H,W]."""
    forward, _ = transforms.pair(stage.transform, stage.block)
    return blocks(image, stage.block) @ forward.T.to(image)


def matches(luminance: torch.Tensor, stage: Stage, channels: int) -> Matches:
    """Match the blocks of an image by its luminance [H,W].

    Source: Dabov et al. 2007, equations 4 and 8.
    Differs: blocks are compared as they are, without a threshold on their coefficients before.
    """
    features = blocks(luminance[None], stage.block)[:, :, 0]
    # an orthonormal luminance is sqrt(C) times the mean of the colours, of which `similar` speaks
    similar = stage.similar * stage.block**2 * channels
    return match(
        features, step=stage.step, radius=stage.radius, count=stage.group, threshold=similar
    )


def grouped(
    found: Matches, coefficients: torch.Tensor
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Yield the groups as positions [R,K], with the Haar transform [K,K] that they take.

    A group has the largest power of two of blocks that are similar.
    """
    size = found.index.shape[1]
    left = torch.ones_like(found.count, dtype=torch.bool)
    while size:
        fits = left & (found.count >= size)
        left &= ~fits
        at_once = max(1, CHUNK // (size * coefficients[0, 0].numel()))
        haar = transforms.haar(size).to(coefficients)
        for index in found.index[fits, :size].split(at_once):
            if len(index):
                yield index, haar
        size //= 2


def spectra(coefficients: torch.Tensor, index: torch.Tensor, haar: torch.Tensor) -> torch.Tensor:
    """Return the 3D coefficients [R,K,C,block^2] of the groups of blocks at index [R,K]."""
    rows = coefficients.flatten(0, 1).flatten(1)
    groups = rows.index_select(0, index.flatten()).view(*index.shape, -1)
    return (haar @ groups).unflatten(2, coefficients.shape[2:])


class Total:
    """The filtered blocks, added up by their weights."""

    def __init__(self, coefficients: torch.Tensor):
        """Start with nothing; the tensor [rows,columns,C,block^2] gives the sizes."""
        self.blocks = torch.zeros_like(coefficients, memory_format=torch.contiguous_format)
        self.weights = self.blocks.new_zeros(coefficients.shape[:3])

    def add(
        self, index: torch.Tensor, haar: torch.Tensor, groups: torch.Tensor, weights: torch.Tensor
    ) -> None:
        """Add groups [R,K,C,block^2] (overwritten) at index [R,K] by their weights [R,C]."""
        weighted = haar.T @ groups.mul_(weights[:, None, :, None]).flatten(2)
        self.blocks.flatten(0, 1).flatten(1).index_add_(0, index.flatten(), weighted.flatten(0, 1))
        each = weights[:, None].expand(*index.shape, -1)
        self.weights.flatten(0, 1).index_add_(0, index.flatten(), each.flatten(0, 1))

    def image(self, stage: Stage) -> torch.Tensor:
        """Return the weighted mean of all blocks, [C,H,W].

        Source: Dabov et al. 2007, equation 12, with the Kaiser window of section IV-A.
        """
        size = tuple(n + stage.block - 1 for n in self.blocks.shape[:2])
        _, back = transforms.pair(stage.transform, stage.block)
        window = transforms.window(stage.block, stage.beta).to(self.blocks)
        pixels = ((self.blocks @ back.T.to(self.blocks)) * window.flatten()).flatten(2)
        summed = torch.nn.functional.fold(pixels.flatten(0, 1).T[None], size, stage.block)
        shares = self.weights.permute(2, 0, 1)[:, None]
        norm = torch.nn.functional.conv_transpose2d(shares, window[None, None])
        return summed[0] / norm[:, 0]
