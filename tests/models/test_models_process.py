"""Closed forms of the forward process."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from models import process

SHARES = st.floats(0.001, 0.999)


def pair(seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    rng = torch.Generator().manual_seed(seed)
    shape = (2, 1, 3, 3)
    return (
        torch.rand(shape, generator=rng, dtype=torch.float64) * 2 - 1,
        torch.randn(shape, generator=rng, dtype=torch.float64),
    )


@given(share=SHARES)
def test_predictions_are_three_faces_of_one_thing(share: float) -> None:
    x0, eps = pair()
    x_t = process.q_sample(x0, eps, share)
    v = process.v_from(x0, eps, share)
    close = {"atol": 1e-10, "rtol": 0}
    torch.testing.assert_close(process.x0_from_eps(x_t, eps, share), x0, **close)
    torch.testing.assert_close(process.eps_from_x0(x_t, x0, share), eps, **close)
    torch.testing.assert_close(process.x0_from_v(x_t, v, share), x0, **close)
    torch.testing.assert_close(process.eps_from_v(x_t, v, share), eps, **close)


@given(share=SHARES)
def test_a_state_is_a_noisy_image_with_the_sigma_of_its_level(share: float) -> None:
    x0, eps = pair()
    sigma = 0.5 * math.sqrt(1 / share - 1)
    noisy = process.to_image(x0) + sigma * eps
    state = process.state_from_noisy(noisy, share)
    torch.testing.assert_close(state, process.q_sample(x0, eps, share))
    torch.testing.assert_close(process.noisy_from_state(state, share), noisy)


def test_scales() -> None:
    image = torch.tensor([0.0, 0.5, 1.0, 1.5])
    assert process.to_state(image).tolist() == [-1, 0, 1, 2]
    torch.testing.assert_close(process.to_image(process.to_state(image)), image)


@given(late=SHARES, fraction=st.floats(0.01, 0.99))
def test_posterior_is_the_conditional_of_the_joint_normal(late: float, fraction: float) -> None:
    # Given x0, (x_s, x_t) are jointly normal; condition x_s on x_t by the textbook formula.
    early = late + (1 - late) * fraction
    x0, eps = pair()
    x_t = process.q_sample(x0, eps, late)
    covariance = math.sqrt(late / early) * (1 - early)
    gain = covariance / (1 - late)
    mean = math.sqrt(early) * x0 + gain * (x_t - math.sqrt(late) * x0)
    found = process.posterior(x0, x_t, late, early)
    torch.testing.assert_close(found.mean, mean)
    assert found.variance == pytest.approx(1 - early - gain * covariance, abs=1e-12)


def test_posterior_at_the_end_is_the_image() -> None:
    x0, eps = pair()
    found = process.posterior(x0, process.q_sample(x0, eps, 0.7), 0.7, 1.0)
    torch.testing.assert_close(found.mean, x0)
    assert found.variance == 0
