"""Ancestral sampling with the best variance of each step, in closed form from one measured number.

What a step adds at random should be what the network cannot know: the variance of x_s given x_t.
Averaged over pixels and images it follows from the energy of the predicted noise, e = E|eps|^2 / d:

    variance of x0 given x_t    v = (1 - e) (1 - alpha_bar_t) / alpha_bar_t
    best variance of a step     lambda^2 + (sqrt(alpha_bar_s) - k sqrt(snr_t))^2 v
                                with k = sqrt(1 - alpha_bar_s - lambda^2)

where lambda is the standard deviation that would be used if x0 were known. The energy depends on
the level alone, so one measurement serves every grid and every eta.
"""

import math
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from bench.api import BenchError, Estimate, Kind, Missing, Noise, register
from models.diffusion import Diffusion
from models.process import q_sample, to_state
from models.samplers.grid import log_snr
from models.samplers.walk import Step, beginning, steps_of
from models.schedule import Schedule

LEVELS = 32
"""Most levels at which the energy is measured."""
ARRAYS = ("levels", "energy")


def estimate_noise_energy(
    diffusion: Diffusion,
    clean: Tensor,
    rng: torch.Generator,
    *,
    levels: Sequence[float] | None = None,
) -> dict[str, Tensor]:
    """Measure e = E|eps|^2 / d, the mean square of the noise that the network predicts.

    Both results are means over these images, so the mean over several sets of images is that of
    their results, weighted by their sizes.

    Source: Bao et al. 2022, equation 9, where Gamma = e / (1 - alpha_bar).
    Differs: at some levels only, and interpolated between them. The energy of the noise that is
    drawn, 1 on average, is a control variate: where nearly all is noise, 1 - e is what counts, and
    e itself would have to be known to many digits.

    Args:
        diffusion: The model.
        clean: Training images [N,C,H,W] in [0, 1].
        rng: Draws the noise.
        levels: Where to measure; by default `measured_levels`.

    Returns:
        "levels" and "energy", float64 [L], by rising level.
    """
    levels = measured_levels(diffusion.schedule) if levels is None else sorted(levels)
    x0, energy = to_state(clean), []
    with torch.no_grad():
        for t in levels:
            eps = torch.randn(x0.shape, generator=rng, device=rng.device).to(x0)
            x_t = q_sample(x0, eps, diffusion.schedule.share(t))
            predicted = diffusion.predict(x_t, t, clip=False).eps
            energy.append(1 + (predicted.double().square() - eps.double().square()).mean())
    return {
        "levels": torch.tensor(levels, dtype=torch.float64),
        "energy": torch.stack(energy).cpu(),
    }


def measured_levels(schedule: Schedule) -> list[float]:
    """Return at most `LEVELS` whole levels from 1 to T, about evenly spaced in log SNR.

    Whole ones, because a network is trained there.
    """
    return sorted({float(round(t)) for t in log_snr(schedule, schedule.steps, LEVELS)[:-1]})


@register(
    Kind.SAMPLER,
    "analytic-ddpm",
    source="Bao et al. 2022 (Analytic-DPM), theorem 1 and section 3.2",
)
@torch.no_grad()
def analytic(
    diffusion: Diffusion,
    x: Tensor,
    grid: Sequence[float],
    noise: Noise,
    *,
    clip: bool = True,
    eta: float = 1.0,
    estimated: Mapping[str, Tensor] | None = None,
) -> Iterator[Estimate]:
    """Sample ancestrally with the variance that Bao et al. prove best.

    With an exact network the states of every level but the last have exactly the mean and the
    mean variance of the data's own, on any grid. The last step, to level 0, adds no noise.

    Differs: from Bao et al., who also cut the noise of the last noisy step to what 8 bits can
    show; here grids end far from there.

    Args:
        diffusion: The model.
        x: States [B,C,H,W] at level grid[0], on the [-1, 1] scale.
        grid: Descending levels.
        noise: Draws the noise of each image.
        clip: Whether the predicted x0 is held within [-1, 1].
        eta: Of the family of `ddim`: 1 is Analytic-DDPM, 0 Analytic-DDIM (noisy, unlike `ddim`).
        estimated: What `analytic.estimate` returned for this model.

    Raises:
        BenchError: If nothing was estimated, it is damaged, or eta is not within 0 and 1.
    """
    if not 0 <= eta <= 1:
        raise BenchError(
            f"sampler analytic-ddpm: eta is {eta:g}, expected 0 (as ddim) to 1 (as ddpm)"
        )
    steps = steps_of(diffusion, grid)
    unknown = _Unknown.of(diffusion.schedule, estimated).at(steps)
    yield beginning(diffusion, x, grid[0])
    for calls, step in enumerate(steps, start=1):
        x0, eps = diffusion.predict(x, step.t, clip=clip)
        known = eta**2 * _posterior_variance(step)
        x = math.sqrt(step.left_s) * x0 + math.sqrt(max(1 - step.left_s - known, 0.0)) * eps
        if not step.is_last:
            x = x + math.sqrt(best_variance(step, known, unknown[calls - 1])) * noise(x)
        yield step.estimate(calls, x, x0)


analytic.estimate = estimate_noise_energy


def best_variance(step: Step, known: float, unknown: float) -> float:
    """Return the best variance of a step.

    Source: Bao et al. 2022, equation 7, in terms of the variance of x0.

    Args:
        step: The step.
        known: Its variance if x0 were known: lambda^2.
        unknown: Mean variance of x0 given x_t.
    """
    along = math.sqrt(max(1 - step.left_s - known, 0.0))
    gain = math.sqrt(step.left_s) - along * math.sqrt(step.left_t / (1 - step.left_t))
    return known + gain**2 * unknown


def _posterior_variance(step: Step) -> float:
    """Return the variance of q(x_s | x_t, x0): that of `ddpm`."""
    return (1 - step.left_s) / (1 - step.left_t) * (1 - step.left_t / step.left_s)


class _Unknown:
    """Mean variance of x0 given x_t, by level.

    Interpolated is v (1 + snr), which is bounded and changes slowly with log SNR: it goes from the
    variance of the data, where all is noise, to 1, where x_t determines x0.
    """

    def __init__(self, schedule: Schedule, levels: np.ndarray, energy: np.ndarray) -> None:
        log_snrs = schedule.log_snr(levels)
        snr = np.exp(log_snrs)
        order = np.argsort(log_snrs)
        self._log_snrs = log_snrs[order]
        self._scaled = (_bounded((1 - energy) / snr, snr) * (1 + snr))[order]

    @classmethod
    def of(cls, schedule: Schedule, estimated: Mapping[str, Tensor] | None) -> "_Unknown":
        if estimated is None:
            raise Missing(
                "sampler analytic-ddpm: no energies of the predicted noise; measure them with a "
                "cell 'estimate', or pass estimated=analytic.estimate(diffusion, images, rng)"
            )
        arrays = [estimated.get(name) for name in ARRAYS]
        levels, energy = (np.zeros(0) if a is None else a.cpu().double().numpy() for a in arrays)
        whole = levels.ndim == 1 and len(levels) and levels.shape == energy.shape
        if not whole or not np.isfinite([levels, energy]).all() or levels.min() <= 0:
            raise BenchError(
                "sampler analytic-ddpm: what was estimated is not one energy for each level above "
                "0; estimate again"
            )
        return cls(schedule, levels, energy)

    def at(self, steps: Sequence[Step]) -> list[float]:
        """Return it at the level from which each step goes."""
        left = np.array([step.left_t for step in steps])
        snr = left / (1 - left)
        scaled = np.interp(np.log(snr), self._log_snrs, self._scaled)
        return _bounded(scaled / (1 + snr), snr).tolist()


def _bounded(variance: np.ndarray, snr: np.ndarray) -> np.ndarray:
    """Return a variance of x0 given x_t held within its bounds.

    Source: Bao et al. 2022, theorem 2: the energy is no less than 0, hence 1 / snr; values within
    [-1, 1] have a variance of at most 1.
    """
    return np.clip(variance, 0, np.minimum(1, 1 / snr))
