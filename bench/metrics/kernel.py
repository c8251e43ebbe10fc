"""The kernel distance between two sets of features, unbiased at every number of images.

Source: Binkowski et al. 2018, in float64.
"""

import torch

from bench.metrics.guard import check_features
from bench.metrics.moments import check_blocks
from bench.statistics import BLOCKS, Interval, Jackknife


def kid_jackknife(a: torch.Tensor, b: torch.Tensor, blocks: int = BLOCKS) -> Jackknife:
    """Return the kernel distance of features a, b [N,D], also with each block left out of both.

    Source: Binkowski et al. 2018, equation 4 with the kernel (x.y / D + 1)^3.
    Differs: all images at once with a jackknife error, instead of the mean of random subsets.

    Raises:
        Invalid: If a set has fewer than two images per block.
    """
    check_features(b, "b", like=check_features(a, "a"))
    check_blocks(a, b, blocks)
    aa, bb, ab = _kernel_sums(a, a, blocks), _kernel_sums(b, b, blocks), _kernel_sums(a, b, blocks)
    sizes_a = torch.tensor([len(a[i::blocks]) for i in range(blocks)])
    sizes_b = torch.tensor([len(b[i::blocks]) for i in range(blocks)])

    def mmd(kept: torch.Tensor) -> float:
        m, n = int(sizes_a[kept].sum()), int(sizes_b[kept].sum())
        within = aa[kept][:, kept].sum() / (m * (m - 1)) + bb[kept][:, kept].sum() / (n * (n - 1))
        return float(within - 2 * ab[kept][:, kept].sum() / (m * n))

    every = torch.arange(blocks)
    return Jackknife(mmd(every), tuple(mmd(every[every != left_out]) for left_out in range(blocks)))


def kid(a: torch.Tensor, b: torch.Tensor, blocks: int = BLOCKS) -> Interval:
    """Return the kernel distance with its 95 % interval; unbiased, so it may be negative."""
    return kid_jackknife(a, b, blocks).interval()


def _kernel_sums(a: torch.Tensor, b: torch.Tensor, blocks: int) -> torch.Tensor:
    """Return the sums [blocks, blocks] of the kernel; of a set with itself without the diagonal."""
    sums = torch.zeros(blocks, blocks, dtype=torch.float64)
    for i in range(blocks):
        for j in range(blocks):
            if a is b and j < i:
                sums[i, j] = sums[j, i]
                continue
            kernel = (a[i::blocks].double() @ b[j::blocks].double().T / a.shape[1] + 1) ** 3
            sums[i, j] = kernel.sum()
            if a is b and i == j:
                sums[i, j] -= kernel.diagonal().sum()
    return sums
