"""The ratio of two times that were taken in turns, with an interval that assumes little."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True)
class Ratio:
    """A ratio with its 95 % interval; without enough rounds the interval is unbounded."""

    value: float
    low: float
    high: float
    rounds: int

    @property
    def half_width(self) -> float:
        """The interval's larger side, as a fraction of the ratio."""
        return max(self.high - self.value, self.value - self.low) / self.value


def paired_ratio(times: Sequence[float], reference: Sequence[float]) -> Ratio:
    """Return the median over rounds of time / reference, with its order-statistic interval.

    Both times of a round are taken within moments of each other, so that the machine's drift
    cancels in their ratio. It does not cancel in the quotient of both medians: on a machine that
    was slow for about half of the rounds, one median can be a time of its fast state and the other
    one of its slow state, and the quotient is off by up to the states' own ratio. So the two may
    differ by a tenth where the times are noisy, and it is the quotient that errs. Interruptions
    make times long and never short: a mean, and a t interval of it, follow them, a median does not.
    The interval between two order statistics holds for every distribution and needs no random
    resamples, so the same times always give it again. Six rounds are the fewest that bound it.

    Source: the sign test turned round, e.g. Conover 1999, "Practical Nonparametric Statistics",
        section 3.2.
    Differs: rounds are taken as independent, and stopping once the interval is narrow makes it
        hold slightly less often than it says.
    """
    ratios = sorted(a / b for a, b in zip(times, reference, strict=True))
    count = len(ratios)
    middle = (ratios[(count - 1) // 2] + ratios[count // 2]) / 2
    rank = order_rank(count)
    if rank == 0:
        return Ratio(middle, 0.0, math.inf, count)
    return Ratio(middle, ratios[rank - 1], ratios[count - rank], count)


def order_rank(count: int) -> int:
    """Return the largest r for which order statistics r and count + 1 - r enclose the median.

    They do so with at least 95 % probability; 0 where no pair does.
    """
    outside, rank = 0, 0
    for below in range(count // 2):
        outside += math.comb(count, below)
        if 2 * outside > (1 - CONFIDENCE) * 2**count:
            break
        rank = below + 1
    return rank
