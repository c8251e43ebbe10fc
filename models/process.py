"""The forward process and its closed forms; the only place where images change their scale.

Notation: x0 clean image and x_t noised image on the [-1, 1] scale of the diffusion, eps standard
normal noise, x_t = sqrt(alpha_bar) x0 + sqrt(1 - alpha_bar) eps. alpha_bar is a float or a tensor
that broadcasts. Level s < t is the one that a step goes to.

Source: Ho et al. 2020, equations 4, 6 and 7; v = sqrt(alpha_bar) eps - sqrt(1 - alpha_bar) x0 from
Salimans and Ho 2022, appendix D.
"""

from typing import NamedTuple

from torch import Tensor

Share = float | Tensor
"""alpha_bar: the share of the variance that is the image's."""


def to_state(image: Tensor) -> Tensor:
    """Move an image from [0, 1] to [-1, 1]."""
    return 2 * image - 1


def to_image(state: Tensor) -> Tensor:
    """Move an image from [-1, 1] to [0, 1]; values outside stay outside."""
    return (state + 1) / 2


def state_from_noisy(y: Tensor, alpha_bar: Share) -> Tensor:
    """Return x_t of a noisy image y = x + sigma eps on the [0, 1] scale."""
    return to_state(y) * alpha_bar**0.5


def noisy_from_state(x_t: Tensor, alpha_bar: Share) -> Tensor:
    """Return the noisy image on the [0, 1] scale whose state is x_t."""
    return x_t * (0.5 / alpha_bar**0.5) + 0.5  # to_image of the quotient, in two steps


def q_sample(x0: Tensor, eps: Tensor, alpha_bar: Share) -> Tensor:
    """Return x_t: the forward process in one go."""
    return alpha_bar**0.5 * x0 + (1 - alpha_bar) ** 0.5 * eps


class Gaussian(NamedTuple):
    """A normal distribution with one variance for all pixels."""

    mean: Tensor
    variance: Share


def posterior(x0: Tensor, x_t: Tensor, alpha_bar_t: Share, alpha_bar_s: Share) -> Gaussian:
    """Return q(x_s | x_t, x0) for s < t, not necessarily neighbours."""
    alpha = alpha_bar_t / alpha_bar_s
    beta = 1 - alpha
    from_x0 = alpha_bar_s**0.5 * beta / (1 - alpha_bar_t)
    from_x_t = alpha**0.5 * (1 - alpha_bar_s) / (1 - alpha_bar_t)
    variance = beta * (1 - alpha_bar_s) / (1 - alpha_bar_t)
    return Gaussian(from_x0 * x0 + from_x_t * x_t, variance)


def eps_from_x0(x_t: Tensor, x0: Tensor, alpha_bar: Share) -> Tensor:
    """Return the noise that makes x_t out of x0."""
    return (x_t - alpha_bar**0.5 * x0) / (1 - alpha_bar) ** 0.5


def x0_from_eps(x_t: Tensor, eps: Tensor, alpha_bar: Share) -> Tensor:
    """Return the clean image that eps makes x_t of."""
    return (x_t - (1 - alpha_bar) ** 0.5 * eps) / alpha_bar**0.5


def v_from(x0: Tensor, eps: Tensor, alpha_bar: Share) -> Tensor:
    """Return v of a clean image and its noise."""
    return alpha_bar**0.5 * eps - (1 - alpha_bar) ** 0.5 * x0


def x0_from_v(x_t: Tensor, v: Tensor, alpha_bar: Share) -> Tensor:
    """Return the clean image of x_t and v."""
    return alpha_bar**0.5 * x_t - (1 - alpha_bar) ** 0.5 * v


def eps_from_v(x_t: Tensor, v: Tensor, alpha_bar: Share) -> Tensor:
    """Return the noise of x_t and v."""
    return (1 - alpha_bar) ** 0.5 * x_t + alpha_bar**0.5 * v
