"""A diffusion whose network is perfect: Gaussian mixtures, in continuous time, in float64.

The noised density of sum_k w_k N(m_k, v I) is sum_k w_k N(sqrt(a) m_k, (a v + 1 - a) I) with
a = alpha_bar, so the posterior mean is known, and with it all that a sampler asks of a network.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from bench.api import Estimate
from models.diffusion import Prediction
from models.process import eps_from_x0, to_state

RADIUS = 0.7
"""Of the circle on which the components of `ring` lie."""
T_END = 1e-2
"""The last level: at 0 the score of what is no density would be asked for."""
BETA_MIN, BETA_MAX = 0.1, 20.0


class Continuous:
    """The variance-preserving process with beta(t) = 0.1 + 19.9 t, t in [0, 1].

    Source: Song et al. 2021, "Score-based generative modeling through SDEs", equation 32.
    """

    name = "continuous"
    steps = 1.0

    def alpha_bar(self, t: object) -> np.ndarray:
        """Return the share of the signal's variance at levels t."""
        t = np.asarray(t, np.float64)
        return np.exp(-(BETA_MIN * t + (BETA_MAX - BETA_MIN) * t**2 / 2))

    def beta(self, t: float) -> float:
        """Return the rate of the process at level t."""
        return BETA_MIN + (BETA_MAX - BETA_MIN) * t

    def log_snr(self, t: object) -> np.ndarray:
        """Return log(alpha_bar / (1 - alpha_bar)) at levels t."""
        left = self.alpha_bar(t)
        return np.log(left / (1 - left))

    def level_of(self, log_snr: np.ndarray) -> np.ndarray:
        """Return t: the root of the quadratic -log(alpha_bar)."""
        tau, slope = np.logaddexp(0, -log_snr), BETA_MAX - BETA_MIN
        return (-BETA_MIN + np.sqrt(BETA_MIN**2 + 2 * slope * tau)) / slope

    def even_grid(self, steps: int, end: float = T_END) -> list[float]:
        """Return levels from 1 to `end` that are evenly spaced in the log signal-to-noise ratio."""
        ratios = np.linspace(*self.log_snr([1.0, end]), steps + 1)
        return [1.0, *map(float, self.level_of(ratios)[1:-1]), end]


@dataclass(frozen=True)
class Exact:
    """Stands in for `Diffusion`: knows E[x0 | x_t] of a mixture on the [-1, 1] scale."""

    weights: Tensor
    """[K]"""
    means: Tensor
    """[K,C,H,W]"""
    variance: float
    schedule: Continuous = field(default_factory=Continuous)

    def predict(self, x: Tensor, t: float, *, clip: bool = True) -> Prediction:
        """Return the posterior mean of x0 given states x [B,C,H,W] at level t, and its noise."""
        left = float(self.schedule.alpha_bar(t))
        root, spread = math.sqrt(left), left * self.variance + 1 - left
        centres, flat = self.means.flatten(1), x.flatten(1)
        square = centres.square().sum(1)
        logits = self.weights.log() + (root * flat @ centres.T - left / 2 * square) / spread
        nearest = (logits.softmax(1) @ centres).view_as(x)
        x0 = nearest + root * self.variance / spread * (x - root * nearest)
        if clip:
            x0 = x0.clamp(-1, 1)
        return Prediction(x0, eps_from_x0(x, x0, left))

    def score(self, x: Tensor, t: float) -> Tensor:
        """Return the gradient of the log-density of the states at level t."""
        left = float(self.schedule.alpha_bar(t))
        return -self.predict(x, t, clip=False).eps / math.sqrt(1 - left)

    def draw(self, count: int, t: float, seed: int) -> Tensor:
        """Return states [count,C,H,W] that are distributed as at level t."""
        rng = torch.Generator().manual_seed(seed)
        left = float(self.schedule.alpha_bar(t))
        which = torch.multinomial(self.weights, count, replacement=True, generator=rng)
        eps = torch.randn(count, *self.means.shape[1:], generator=rng, dtype=torch.float64)
        return math.sqrt(left) * self.means[which] + self.deviation(t) * eps

    def deviation(self, t: float) -> float:
        """Return the standard deviation of each component at level t."""
        left = float(self.schedule.alpha_bar(t))
        return math.sqrt(left * self.variance + 1 - left)

    def flow(self, x: Tensor, start: float, end: float, steps: int) -> Tensor:
        """Return where the probability-flow ODE leads states from level `start` to `end`.

        Classical Runge-Kutta of order 4 on dy/dlambda = -sigma eps, where y = x / sqrt(alpha_bar)
        and lambda = -log(sigma): neither the time nor the state of any sampler here.
        """

        def slope(y: Tensor, at: float) -> Tensor:
            left = 1 / (1 + math.exp(-2 * at))
            t = float(self.schedule.level_of(np.float64(2 * at)))
            return -math.exp(-at) * self.predict(y * math.sqrt(left), t, clip=False).eps

        first, last = (float(self.schedule.log_snr(t)) / 2 for t in (start, end))
        y, h = x / math.sqrt(float(self.schedule.alpha_bar(start))), (last - first) / steps
        for at in first + h * np.arange(steps):
            one = slope(y, at)
            two = slope(y + h / 2 * one, at + h / 2)
            three = slope(y + h / 2 * two, at + h / 2)
            four = slope(y + h * three, at + h)
            y = y + h / 6 * (one + 2 * two + 2 * three + four)
        return y * math.sqrt(float(self.schedule.alpha_bar(end)))

    def component(self, x: Tensor) -> Tensor:
        """Return [B], the component that states at `T_END` belong to."""
        centres = math.sqrt(float(self.schedule.alpha_bar(T_END))) * self.means.flatten(1)
        return torch.cdist(x.flatten(1), centres).argmin(1)

    def inland(self, x: Tensor, margin: float = 0.3) -> Tensor:
        """Return [B]: whether a state at level 1 is far from the watersheds.

        The ODE leads to one component or another. Between two of them lies a watershed; from a
        state on it, an error however small leads to the wrong component. Here a state that is moved
        by `margin` (in deviations of the noise) towards any component still leads to its own.
        """
        home = self.component(self.flow(x, 1.0, T_END, 100))
        far = torch.ones(len(x), dtype=torch.bool)
        for other in range(len(self.means)):
            towards = self.means[other] - self.means[home]
            length = towards.flatten(1).norm(dim=1).clamp_min(1e-9)[:, None, None, None]
            moved = self.flow(x + margin * towards / length, 1.0, T_END, 100)
            far &= self.component(moved) == home
        return far


def ring(components: int = 5, spread: float = 0.1) -> Exact:
    """Return a mixture in the plane: components of unequal weight on a circle.

    Its states are images of one channel and 1x2 pixels.
    """
    angles = torch.arange(components, dtype=torch.float64) * 2 * math.pi / components
    means = RADIUS * torch.stack([angles.cos(), angles.sin()], dim=1)
    weights = torch.arange(1, components + 1, dtype=torch.float64)
    return Exact(weights / weights.sum(), means[:, None, None, :], spread**2)


def last_state(estimates: Iterable[Estimate], schedule: Continuous) -> Tensor:
    """Return the last state of a sampler, on the scale of the diffusion."""
    *_, last = estimates
    return to_state(last.current) * math.sqrt(float(schedule.alpha_bar(last.t)))
