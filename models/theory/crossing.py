"""Beyond homeomorphisms: paths that cross, which a second-order ODE has and a first-order not."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from bench.api import Checked, Claim, Curve, Holds, Kind, register
from models.solve import integrate

UPDATES = 120
WIDTH = 16
STEPS = 10
"""Of the fourth-order solver."""
SEEDS = 2
"""Times the effort."""
BEST_MONOTONE = 1.0
"""Least mean squared error of an increasing function that should exchange -1 and 1: it is 0."""
LEARNT = 0.01
PANEL_LOSS = "Exchange -1 and 1"
PANEL_PATHS = "Learnt trajectories"


class FirstOrderLine(nn.Module):
    """dz/ds = f(z, s) on the line."""

    def __init__(self) -> None:
        super().__init__()
        self.f = _small(2, 1)

    def forward(self, s: float, y: Tensor) -> Tensor:
        """Return dz/ds [N,1] of positions y [N,1]."""
        return self.f(torch.cat([y, torch.full_like(y, s)], dim=1))

    def begin(self, z: Tensor) -> Tensor:
        """Return the state that belongs to positions z [N,1]."""
        return z


class SecondOrderLine(nn.Module):
    """d2z/ds2 = f(z, dz/ds, s) on the line, from a velocity that is learnt, too."""

    def __init__(self) -> None:
        super().__init__()
        self.f, self.velocity = _small(3, 1), _small(1, 1)

    def forward(self, s: float, y: Tensor) -> Tensor:
        """Return the slopes [N,2] of positions and velocities y [N,2]."""
        given = torch.cat([y, torch.full_like(y[:, :1], s)], dim=1)
        return torch.cat([y[:, 1:], self.f(given)], dim=1)

    def begin(self, z: Tensor) -> Tensor:
        """Return the state that belongs to positions z [N,1]."""
        return torch.cat([z, self.velocity(z)], dim=1)


@dataclass(frozen=True)
class Learnt:
    """What one training came to."""

    losses: list[float]
    paths: Tensor
    """[STEPS + 1, 2]: where -1 and 1 go."""


def learn(make: Callable[[], nn.Module], seed: int) -> Learnt:
    """Train a network to carry 1 to -1 and -1 to 1 within s = 0 to 1."""
    torch.manual_seed(seed)
    field = make().double()
    optimiser = torch.optim.Adam(field.parameters(), lr=0.02)
    z = torch.tensor([[-1.0], [1.0]], dtype=torch.float64)
    losses = []
    for _ in range(UPDATES):
        end = integrate(field, field.begin(z), steps=STEPS).y[:, :1]
        loss = (end + z).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    with torch.no_grad():
        return Learnt(losses, _paths(field, z))


def _paths(field: nn.Module, z: Tensor) -> Tensor:
    states = [field.begin(z)]
    for n in range(STEPS):
        span = (n / STEPS, (n + 1) / STEPS)
        states.append(integrate(field, states[-1], span=span).y)
    return torch.stack([y[:, 0] for y in states])


def _small(inputs: int, outputs: int) -> nn.Module:
    return nn.Sequential(
        nn.Linear(inputs, WIDTH), nn.Tanh(), nn.Linear(WIDTH, WIDTH), nn.Tanh(),
        nn.Linear(WIDTH, outputs),
    )  # fmt: skip


@register(
    Kind.CHECK, "crossing", source="section 3.3, after equation 14; Dupont et al. 2019, section 3"
)
def crossing(effort: int, seed: int) -> Checked:
    """Check that a second-order ODE learns what a first-order one of the same state cannot.

    Args:
        effort: Multiplies the seeds.
        seed: The first of them.
    """
    seeds = range(seed, seed + SEEDS * effort)
    found = {
        "first order": [learn(FirstOrderLine, one) for one in seeds],
        "second order": [learn(SecondOrderLine, one) for one in seeds],
    }
    last = {name: [one.losses[-1] for one in all_] for name, all_ in found.items()}
    fails = min(last["first order"]) > 0.99 * BEST_MONOTONE
    learns = max(last["second order"]) < LEARNT
    claim = Claim(
        "Section 3.3, after equation 14",
        "Second-order neural ODEs are more flexible than homeomorphisms of the state.",
        {(True, True): Holds.YES, (False, False): Holds.NO}.get((fails, learns), Holds.PARTLY),
        f"To exchange -1 and 1 on the line, paths must cross. In {len(seeds)} of {len(seeds)} "
        f"seeds the first-order ODE ends with an error of {min(last['first order']):.2f} or more "
        f"(no increasing function has less than {BEST_MONOTONE:g}), the second-order one with "
        f"{max(last['second order']):.0e} or less. The pair (z, v) still moves by a homeomorphism: "
        "more dimensions do the same (Dupont et al. 2019).",
        {
            "least error, first order": min(last["first order"]),
            "largest error, second order": max(last["second order"]),
        },
    )
    return Checked([claim], [*_loss_curves(found), *_path_curves(found)])


def _loss_curves(found: dict[str, list[Learnt]]) -> list[Curve]:
    axes = {"x_axis": "updates", "y_axis": "mean squared error", "logarithmic": "y"}
    every = range(0, UPDATES, 10)
    curves = []
    for name, trainings in found.items():
        losses = torch.tensor([one.losses for one in trainings], dtype=torch.float64)[:, ::10]
        ends = {"low": losses.amin(0).tolist(), "high": losses.amax(0).tolist()}
        middle = losses.median(0).values.tolist()
        curves.append(Curve(PANEL_LOSS, name, list(every), middle, **axes, **ends))
    bound = [BEST_MONOTONE] * len(every)
    return [*curves, Curve(PANEL_LOSS, "bound", list(every), bound, reference=True, **axes)]


def _path_curves(found: dict[str, list[Learnt]]) -> list[Curve]:
    axes = {"x_axis": "time s of the ODE", "y_axis": "position z", "logarithmic": ""}
    times = [n / STEPS for n in range(STEPS + 1)]
    return [
        Curve(
            PANEL_PATHS, f"{name}, from {start}", times, trainings[0].paths[:, i].tolist(), **axes
        )
        for name, trainings in found.items()
        for i, start in enumerate((-1, 1))
    ]
