"""Properties that every backbone is taken to have, measured on the network itself."""

import torch
from torch import Tensor, nn

from bench.api import Property
from bench.metrics.cost.sound import random_inputs
from bench.seeds import generator

SHAKEN = 0.02
"""Standard deviation of what is added to every parameter.

Many networks begin with zeros in the layers by which a step is heard: it is not their weights of
today that are asked, but what they can come to.
"""
ALIKE = 1e-3
"""How far an image's result may move with its batch, as a fraction of its largest value: float32
adds up in another order."""


@torch.no_grad()
def lacking(network: nn.Module, shape: tuple[int, int, int]) -> list[str]:
    """Return which of two properties a network lacks: it hears the step, and minds its own image.

    Its parameters are changed. Where it then fails, its output is not finite, or another one for
    the same input, nothing is said: it is not the network that somebody registered any more.

    Args:
        network: A backbone in evaluation mode.
        shape: An image's [C,H,W].
    """
    rng = generator("properties", 0)
    for parameter in network.parameters():
        noise = torch.randn(parameter.shape, generator=rng)
        parameter.add_(noise.to(parameter), alpha=SHAKEN)
    x = random_inputs(1, (2, *shape))[0][0]
    try:
        early, late, again = (network(x[:1], _steps(x[:1], step)) for step in (0, 999, 0))
        beside = network(x, _steps(x, 0))[:1]
    except Exception:  # of whatever kind: a solver's, for one
        return []
    if not (torch.equal(early, again) and all(bool(y.isfinite().all()) for y in (late, beside))):
        return []  # NaN is not equal to itself
    found = []
    if torch.equal(early, late):
        found.append(Property.STEP_DEPENDENCE)
    if (beside - early).abs().max() > ALIKE * early.abs().max():
        found.append(Property.BATCH_INDEPENDENCE)
    return [one.value for one in found]


def _steps(x: Tensor, step: int) -> Tensor:
    return torch.full((len(x),), float(step))
