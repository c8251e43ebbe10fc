"""Noise schedules: how much of the image is left after t noising steps.

Convention. A *level* t in 0..T says that t noising steps have been applied: alpha_bar(0) = 1, and
alpha_bar(t) is the product of the first t factors 1 - beta. A network is told the index of the
last of these steps, t - 1 in 0..T-1 (`network_step`), as in the code of Ho et al. Between whole
levels everything is interpolated linearly in the logarithm of the signal-to-noise ratio; below
level 1 sigma is proportional to t, because the ratio of level 0 is infinite.

Sigmas are in units of images in [0, 1], half of those of the diffusion's [-1, 1].
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bench.api import BenchError, Kind, Level, register
from models.registered import registered

T = 1000
"""Noising steps of every schedule."""

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Schedule:
    """One forward process; arithmetic in float64."""

    name: str
    alpha_bars: Array
    """alpha_bar of the levels 0..T; begins with 1."""

    @property
    def steps(self) -> int:
        """T, the number of noising steps."""
        return len(self.alpha_bars) - 1

    @cached_property
    def _log_snrs(self) -> Array:
        """Log signal-to-noise ratio of the levels 1..T."""
        left = self.alpha_bars[1:]
        return np.log(left) - np.log1p(-left)

    def log_snr(self, t: ArrayLike) -> Array:
        """Return log(alpha_bar / (1 - alpha_bar)) at levels t in 0..T, whole or not.

        Raises:
            BenchError: If a level lies outside 0..T.
        """
        t = np.asarray(t, dtype=np.float64)
        if t.size and (t.min() < 0 or t.max() > self.steps):
            raise BenchError(
                f"levels {t.min():g} to {t.max():g} asked of schedule '{self.name}', "
                f"expected 0 to {self.steps}"
            )
        inside = np.interp(t, np.arange(1, self.steps + 1), self._log_snrs)
        with np.errstate(divide="ignore"):
            return inside - 2 * np.log(np.minimum(t, 1.0))

    def snr(self, t: ArrayLike) -> Array:
        """Return alpha_bar / (1 - alpha_bar); infinite at level 0."""
        return np.exp(self.log_snr(t))

    def alpha_bar(self, t: ArrayLike) -> Array:
        """Return the share of the image's variance that is left at levels t."""
        return 1 / (1 + np.exp(-self.log_snr(t)))

    def share(self, t: float) -> float:
        """Return alpha_bar at one level; remembered, since every batch visits the same few."""
        if t not in self._shares:
            self._shares[t] = float(self.alpha_bar(t))
        return self._shares[t]

    @cached_property
    def _shares(self) -> dict[float, float]:
        return {}

    def sigma(self, t: ArrayLike) -> Array:
        """Return the noise of x_t / sqrt(alpha_bar_t): 0.5 * sqrt(1 / alpha_bar - 1)."""
        return 0.5 * np.exp(-self.log_snr(t) / 2)

    def step_of_sigma(self, sigma: float) -> float:
        """Return the level t with that sigma: the inverse of `sigma`.

        Within 1e-6 of a whole level it is that level, so that rounding never adds a step.

        Raises:
            BenchError: If the schedule never gets that noisy, or sigma is negative.
        """
        if sigma == 0:
            return 0.0
        first, last = float(self.sigma(1)), float(self.sigma(self.steps))
        if not 0 < sigma <= last * (1 + 1e-12):
            raise BenchError(
                f"sigma {sigma:g} is out of the range of schedule '{self.name}', "
                f"expected 0 to {last:g}"
            )
        if sigma < first:
            return sigma / first
        t = self._level_of(-2 * math.log(2 * sigma))
        return float(round(t)) if abs(t - round(t)) < 1e-6 else t

    def snr_inverse(self, snr: float) -> float:
        """Return the level t with that signal-to-noise ratio: the inverse of `snr`.

        Raises:
            BenchError: If the schedule never gets that noisy, or the ratio is negative.
        """
        first, last = float(self.snr(1)), float(self.snr(self.steps))
        if not snr >= last * (1 - 1e-12):
            raise BenchError(
                f"a signal-to-noise ratio of {snr:g} asked of schedule '{self.name}', expected "
                f"{last:g} or more"
            )
        if snr > first:
            return math.sqrt(first / snr)
        return self._level_of(math.log(snr))

    def _level_of(self, log_snr: float) -> float:
        # np.interp wants rising abscissae, and the ratio falls.
        return float(np.interp(-log_snr, -self._log_snrs, np.arange(1.0, self.steps + 1)))

    def level(self, t: int) -> Level:
        """Return the noise level after t steps, as the harness knows it."""
        return Level(float(self.sigma(t)), t, self.name)


def network_step(t: float) -> float:
    """Return the step that a network is told at level t: t - 1, but not below 0."""
    return max(t - 1.0, 0.0)


def _from_betas(betas: Array) -> Array:
    return np.concatenate([[1.0], np.cumprod(1 - betas)])


def _from_curve(curve: Callable[[Array], Array]) -> Array:
    """Return alpha_bar from a curve over [0, 1], with no step larger than beta = 0.999."""
    left = curve(np.arange(T + 1) / T)
    return _from_betas(np.clip(1 - left[1:] / left[:-1], 0, 0.999))


def _logistic(u: ArrayLike) -> Array:
    return 1 / (1 + np.exp(-np.asarray(u, dtype=np.float64)))


@register(Kind.SCHEDULE, "linear", source="Ho et al. 2020, section 4")
def linear() -> Schedule:
    """Return the schedule whose beta rises from 1e-4 to 2e-2 in equal steps."""
    return Schedule("linear", _from_betas(np.linspace(1e-4, 2e-2, T)))


@register(Kind.SCHEDULE, "cosine", source="Nichol and Dhariwal 2021, equation 17")
def cosine(offset: float = 0.008) -> Schedule:
    """Return the schedule whose alpha_bar is a squared cosine."""
    return Schedule(
        "cosine", _from_curve(lambda u: np.cos((u + offset) / (1 + offset) * math.pi / 2) ** 2)
    )


@register(
    Kind.SCHEDULE, "sigmoid", source="Jabri et al. 2022; the default of the paper's released code"
)
def sigmoid(start: float = -3, end: float = 3, tau: float = 1) -> Schedule:
    """Return a logistic curve from `start` to `end`, moved to begin at 1 and end at 0."""
    first, last = _logistic(start / tau), _logistic(end / tau)
    curve = _from_curve(
        lambda u: (last - _logistic((start + u * (end - start)) / tau)) / (last - first)
    )
    return Schedule("sigmoid", curve)


def schedule(name: str) -> Schedule:
    """Return the schedule of that name.

    Raises:
        BenchError: If there is none, or what it builds is no `Schedule`.
    """
    built = _built(registered(Kind.SCHEDULE, name))
    if not isinstance(built, Schedule):
        raise BenchError(
            f"schedule '{name}': its builder returned {type(built).__name__}, expected a Schedule"
        )
    return built


@cache
def _built(build: Callable[[], Schedule]) -> Schedule:
    """Return one object for all who ask: it remembers the shares that every batch needs."""
    return build()
