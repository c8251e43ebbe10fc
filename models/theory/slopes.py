"""Orders of convergence, as slopes of errors in double logarithmic scale."""

from collections.abc import Sequence

import numpy as np


def order(steps: Sequence[float], errors: Sequence[float]) -> float:
    """Return how the error falls with the number of steps: error ~ steps ** -order.

    Least squares through the logarithms.
    """
    return -float(np.polyfit(np.log(steps), np.log(errors), 1)[0])


def falling(steps: Sequence[float], error: float, power: float) -> list[float]:
    """Return the errors that fall with a power of the steps, from `error` at the first."""
    return [error * (steps[0] / count) ** power for count in steps]
