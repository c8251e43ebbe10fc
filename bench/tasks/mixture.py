"""The posterior of a Gaussian mixture's images under white noise, in closed form, in float64."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from bench.api import Dataset, Invalid, Noise


@dataclass(frozen=True, eq=False)
class Posterior:
    """What can be known of x where y = x + sigma * eps, for x of sum_k w_k N(m_k, v I).

    It is the mixture of N(m_k + g (y - m_k), g sigma^2 I), g = v / (v + sigma^2), whose weights are
    proportional to w_k N(y; m_k, (v + sigma^2) I).

    Source: Bishop 2006, "Pattern recognition and machine learning", equations 2.113 to 2.117, for
        each component.
    """

    weights: Tensor
    """[K], sums to 1."""
    means: Tensor
    """[K,C,H,W], on the scale of the images."""
    variance: float

    @classmethod
    def of(cls, dataset: Dataset | Any) -> "Posterior":
        """Return that of a data set which knows its mixture.

        Raises:
            Invalid: If it has no `mixture()`.
        """
        if not hasattr(dataset, "mixture"):
            raise Invalid(
                f"the posterior of '{dataset.name}' is not known; expected a data set with a "
                "mixture(), such as gaussian"
            )
        weights, means, variance = dataset.mixture()
        return cls(torch.from_numpy(weights), torch.from_numpy(means), float(variance))

    def mean(self, y: Tensor, sigma: float) -> Tensor:
        """Return E[x | y] [B,C,H,W] of noisy images y [B,C,H,W] (never clipped)."""
        y = y.double()
        shares, gain = self._shares(y, sigma), self._gain(sigma)
        nearest = (shares @ self.means.flatten(1)).view_as(y)
        return nearest + gain * (y - nearest)

    def sample(self, y: Tensor, sigma: float, noise: Noise) -> Tensor:
        """Return a draw of x given y for each image, with that image's own noise."""
        y = y.double()
        # The first noise chooses the component: its distribution function is uniform.
        uniform = torch.special.ndtr(noise(y).flatten(1)[:, :1])
        edges = self._shares(y, sigma).cumsum(dim=1)
        which = (uniform > edges).sum(dim=1).clamp(max=len(self.weights) - 1)
        gain, chosen = self._gain(sigma), self.means[which]
        drawn: Tensor = chosen + gain * (y - chosen) + sigma * gain**0.5 * noise(y)
        return drawn

    def spread(self, y: Tensor, sigma: float) -> Tensor:
        """Return E |x - E[x | y]|^2 per value, [B]: the error that nobody can avoid, given y."""
        y = y.double()
        shares, gain, centres = self._shares(y, sigma), self._gain(sigma), self.means.flatten(1)
        about = shares @ centres.square() - (shares @ centres).square()
        return gain * sigma**2 + (1 - gain) ** 2 * about.mean(dim=1)

    def _gain(self, sigma: float) -> float:
        return self.variance / (self.variance + sigma**2)

    def _shares(self, y: Tensor, sigma: float) -> Tensor:
        """Return the probability of each component given y, [B,K]."""
        centres = self.means.flatten(1)
        product = y.flatten(1) @ centres.T - centres.square().sum(dim=1) / 2
        return (self.weights.log() + product / (self.variance + sigma**2)).softmax(dim=1)
