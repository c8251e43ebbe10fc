"""Distances between sets of images, from their features: Frechet and kernel.

Source: Heusel et al. 2017 (Frechet), Binkowski et al. 2018 (kernel), both in float64.
"""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import reduce
from itertools import accumulate

import torch

from bench.api import Invalid
from bench.metrics.guard import check_features, check_finite
from bench.statistics import Interval, Jackknife

BLOCK = 500
"""Images per block of statistics. Fixed, and blocks are merged in order: then the result is equal
to the last bit for any batch size and any number of workers that end at block boundaries."""
JACKKNIFE_BLOCKS = 8


@dataclass(frozen=True, slots=True, eq=False)
class Statistics:
    """Mean and scatter of a set of features; the scatter is kept as a root."""

    count: int
    mean: torch.Tensor
    """[D], float64."""
    root: torch.Tensor
    """[R,D] with R <= D and root.T @ root = sum of outer products of the centred features. Merging
    roots by QR never squares a number, so a rank-deficient set loses no digits."""

    @classmethod
    def of(cls, features: torch.Tensor) -> "Statistics":
        """Return the statistics of features [N,D]."""
        return cls.stream([features])

    @classmethod
    def stream(cls, batches: Iterable[torch.Tensor]) -> "Statistics":
        """Return the statistics of features that come in batches [*,D] of any size.

        Raises:
            Invalid: If nothing comes, or something that is not a finite matrix.
        """
        blocks = [cls.of_block(block) for block in _blocks(batches)]
        if not blocks:
            raise Invalid("features: none, expected at least one batch")
        return merge_all(blocks)

    @classmethod
    def of_block(cls, block: torch.Tensor) -> "Statistics":
        """Return the statistics of one block, of which the whole is merged in order."""
        block = check_features(block, "features").double()
        mean = block.mean(dim=0)
        return cls(len(block), mean, _compact(block - mean))

    @classmethod
    def gaussian(cls, mean: torch.Tensor, root: torch.Tensor, count: int = 2) -> "Statistics":
        """Return those of a normal distribution with covariance root.T @ root."""
        check_features(root, "root", like=mean[None])
        scale = math.sqrt(count - 1)
        return cls(count, mean.double(), _compact(root.double() * scale))

    def merge(self, other: "Statistics") -> "Statistics":
        """Return the statistics of both sets together.

        Source: Chan, Golub, LeVeque 1979: the scatters add up, and the means' difference adds one.
        """
        if self.mean.shape != other.mean.shape:
            raise Invalid(
                f"features: dimensions {len(self.mean)} and {len(other.mean)}, expected the same"
            )
        count = self.count + other.count
        shift = other.mean - self.mean
        extra = math.sqrt(self.count * other.count / count) * shift
        root = _compact(torch.cat((self.root, other.root, extra[None])))
        return Statistics(count, self.mean + shift * (other.count / count), root)


def merge_all(blocks: Iterable[Statistics]) -> Statistics:
    """Merge statistics in the order given."""
    return reduce(Statistics.merge, blocks)


def frechet(a: Statistics, b: Statistics) -> float:
    """Return the (squared) Frechet distance of the normal distributions fitted to two sets.

    |m_a - m_b|^2 + tr S_a + tr S_b - 2 * (sum of the singular values of R_a R_b^T), where
    S = R^T R. No matrix square root and no eigenvalue of a product is taken, so that rank
    deficiency costs no accuracy: the distance of a set to itself is 0 up to rounding.

    Raises:
        Invalid: If a set has fewer than two elements or the dimensions differ.
    """
    if min(a.count, b.count) < 2:
        raise Invalid(f"Frechet distance: {a.count} and {b.count} images, expected 2 or more")
    if a.mean.shape != b.mean.shape:
        raise Invalid(f"Frechet distance: dimensions {len(a.mean)} and {len(b.mean)} differ")
    root_a = check_finite(a.root / math.sqrt(a.count - 1), "a")
    root_b = check_finite(b.root / math.sqrt(b.count - 1), "b")
    overlap = torch.linalg.svdvals(root_a @ root_b.T).sum()
    traces = root_a.square().sum() + root_b.square().sum()
    return max(0.0, float((a.mean - b.mean).square().sum() + traces - 2 * overlap))


def frechet_jackknife(
    a: torch.Tensor, b: torch.Tensor, blocks: int = JACKKNIFE_BLOCKS
) -> Jackknife:
    """Return the Frechet distance of features a, b [N,D], also with each block left out of both.

    Block i holds the images i, i + blocks, i + 2 blocks...: each sees the whole range of a sorted
    set. Pairs of distances over the same real images can be subtracted.

    Raises:
        Invalid: If a set has fewer than two images per block.
    """
    check_features(b, "b", like=check_features(a, "a"))
    _check_blocks(a, b, blocks)
    deleted = zip(_leave_out(a, blocks), _leave_out(b, blocks), strict=True)
    value = frechet(Statistics.of(a), Statistics.of(b))
    return Jackknife(value, tuple(frechet(*pair) for pair in deleted))


def frechet_interval(
    features_a: torch.Tensor, features_b: torch.Tensor, blocks: int = JACKKNIFE_BLOCKS
) -> Interval:
    """Return the Frechet distance with its 95 % interval by the delete-block jackknife.

    The interval tells the spread at this number of images, not the bias, which only the floor
    (`floor`) shows. It is cut at 0.
    """
    return _not_negative(frechet_jackknife(features_a, features_b, blocks).interval())


def floor(real: torch.Tensor, *, blocks: int = JACKKNIFE_BLOCKS) -> Interval:
    """Return the Frechet distance between two disjoint halves of real features [2N,D].

    What a perfect generator would score with N images against N: print it, and N = len(real) // 2,
    beside every distance.
    """
    half = len(real) // 2
    return frechet_interval(real[0 : 2 * half : 2], real[1 : 2 * half : 2], blocks)


def kid_jackknife(a: torch.Tensor, b: torch.Tensor, blocks: int = JACKKNIFE_BLOCKS) -> Jackknife:
    """Return the kernel distance of features a, b [N,D], also with each block left out of both.

    Source: Binkowski et al. 2018, equation 4 with the kernel (x.y / D + 1)^3.
    Differs: all images at once with a jackknife error, instead of the mean of random subsets.

    Raises:
        Invalid: If a set has fewer than two images per block.
    """
    check_features(b, "b", like=check_features(a, "a"))
    _check_blocks(a, b, blocks)
    aa, bb, ab = _kernel_sums(a, a, blocks), _kernel_sums(b, b, blocks), _kernel_sums(a, b, blocks)
    sizes_a = torch.tensor([len(a[i::blocks]) for i in range(blocks)])
    sizes_b = torch.tensor([len(b[i::blocks]) for i in range(blocks)])

    def mmd(kept: torch.Tensor) -> float:
        m, n = int(sizes_a[kept].sum()), int(sizes_b[kept].sum())
        within = aa[kept][:, kept].sum() / (m * (m - 1)) + bb[kept][:, kept].sum() / (n * (n - 1))
        return float(within - 2 * ab[kept][:, kept].sum() / (m * n))

    every = torch.arange(blocks)
    return Jackknife(mmd(every), tuple(mmd(every[every != left_out]) for left_out in range(blocks)))


def kid(a: torch.Tensor, b: torch.Tensor, blocks: int = JACKKNIFE_BLOCKS) -> Interval:
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


def _leave_out(features: torch.Tensor, blocks: int) -> Iterator[Statistics]:
    """Yield the statistics without block 0, 1, ...; every block is reduced only once."""
    parts = [Statistics.of_block(features[i::blocks]) for i in range(blocks)]
    before = [None, *accumulate(parts[:-1], Statistics.merge)]
    after = [None, *accumulate(parts[:0:-1], Statistics.merge)][::-1]
    for left, right in zip(before, after, strict=True):
        yield left.merge(right) if left and right else left or right


def _blocks(batches: Iterable[torch.Tensor]) -> Iterator[torch.Tensor]:
    """Cut batches of any size anew into blocks of 500; the last may be smaller."""
    held: list[torch.Tensor] = []
    size = 0
    for batch in batches:
        held.append(batch)
        size += len(batch)
        if size >= BLOCK:
            *full, rest = torch.cat(held).split(BLOCK)
            full, rest = ([*full, rest], rest[:0]) if len(rest) == BLOCK else (full, rest)
            yield from full
            held, size = ([rest], len(rest)) if len(rest) else ([], 0)
    if size:
        yield torch.cat(held)


def _compact(root: torch.Tensor) -> torch.Tensor:
    """Return a root of the same scatter with no more rows than columns."""
    rows, columns = root.shape
    return torch.linalg.qr(root, mode="r").R if rows > columns else root


def _check_blocks(a: torch.Tensor, b: torch.Tensor, blocks: int) -> None:
    fewest = min(len(a), len(b))
    if blocks < 2 or fewest < 2 * blocks:
        raise Invalid(
            f"jackknife: {fewest} images in {blocks} blocks, expected 2 blocks or more and 2 "
            "images or more in each"
        )


def _not_negative(interval: Interval) -> Interval:
    low = max(0.0, interval.low)
    return Interval(interval.value, low, interval.high, interval.standard_error)
