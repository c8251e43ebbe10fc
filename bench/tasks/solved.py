"""A trained network that solves ODEs, called with other solvers than it was trained with."""

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, is_dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from bench.api import BenchError, Invalid, Level, Noise, Row, Skip

EXCHANGED = ("solver", "steps", "rtol", "atol", "watched")
"""What an integrator must have for its network to be examined."""


@dataclass(frozen=True, slots=True)
class Way:
    """A solver with its number of steps, or its tolerance."""

    solver: str
    steps: int | None = None
    tolerance: float | None = None

    @property
    def key(self) -> str:
        """A name of its own, for files."""
        return f"{self.solver} {self.steps or self.tolerance}"

    @property
    def row(self) -> Row:
        """The columns that say it."""
        return {"solver": self.solver, "solver_steps": self.steps, "tolerance": self.tolerance}

    def of(self, integrator: Any) -> Any:
        """Return an integrator that is exchanged for this one."""
        plain = replace(integrator, solver=self.solver, steps=self.steps or 1)
        if hasattr(integrator, "adjoint"):
            plain = replace(plain, adjoint=False, path="own")
        if self.tolerance is None:
            return plain
        return replace(plain, rtol=self.tolerance, atol=self.tolerance)


def ways_of(solvers: Sequence[Mapping[str, Any]]) -> list[Way]:
    """Return the ways of a specification: `{"name", "steps": [...]}`, or with "tolerances"."""
    fixed = [Way(one["name"], steps=n) for one in solvers for n in one.get("steps", ())]
    return fixed + [
        Way(one["name"], tolerance=each) for one in solvers for each in one.get("tolerances", ())
    ]


@dataclass(frozen=True, slots=True)
class Called:
    """What one call of a network gave."""

    images: Tensor
    """The restored images [B,C,H,W] in [0, 1]."""
    output: Tensor
    """What the network itself returned, [B,C,H,W]."""
    nfe: list[int]
    """Evaluations of the field of each block."""


@dataclass(frozen=True, slots=True)
class Continuous:
    """A diffusion denoiser with a network whose solver can be exchanged."""

    name: str
    denoiser: Any

    @property
    def network(self) -> Any:
        """The network."""
        return self.denoiser.diffusion.backbone

    @classmethod
    def of(cls, name: str, denoiser: Any) -> "Continuous":
        """Return it.

        Raises:
            Skip: If there is no ODE in it, or none whose solver can be exchanged.
        """
        network = network_of(denoiser)
        if not callable(getattr(network, "fields", None)):
            raise Skip(
                f"'{name}' has no field to examine: its network solves no ODE; choose one that "
                "does, such as cunet"
            )
        if not exchangeable(network):
            raise Skip(
                f"'{name}' has no solver to exchange; expected an attribute `integrator`, a "
                f"dataclass with {', '.join(EXCHANGED)}"
            )
        return cls(name, denoiser)

    @property
    def trained(self) -> Way:
        """What the network was built, and so trained, with."""
        how = self.network.integrator
        if how.scheme.adaptive:
            return Way(how.solver, tolerance=how.rtol)
        return Way(how.solver, steps=how.steps)

    def widths(self) -> list[int]:
        """Return the channels of each block's state."""
        return [int(width) for _, width in self.network.fields()]

    def exact(self) -> "Continuous":
        """Return a copy that computes in float64."""
        return replace(self, denoiser=copy.deepcopy(self.denoiser).double())

    def call(self, way: Way, noisy: Tensor, level: Level, noise: Noise) -> Called:
        """Restore images with one call of the network, its ODEs solved in some way.

        Raises:
            Invalid: If that cannot be: it says in which block, where and after how much work.
        """
        network, own = self.network, self.network.integrator
        try:
            network.integrator = way.of(own)
            return self._call(noisy, level, noise)
        finally:
            network.integrator = own

    def _call(self, noisy: Tensor, level: Level, noise: Noise) -> Called:
        def restore() -> Tensor:
            return self.denoiser.denoise(noisy.clone(), level, noise)

        outputs: list[Tensor] = []
        keep = self.network.register_forward_hook(lambda _, args, output: outputs.append(output))
        try:
            with counting([field for field, _ in self.network.fields()]) as nfe:
                images = restore()
        finally:
            keep.remove()
        if not torch.isfinite(outputs[-1]).all():
            fault = Invalid(f"{self.name} returned NaN or infinity")
            raise explained(fault, self.denoiser, restore)
        return Called(images, outputs[-1], list(nfe))


@contextmanager
def counting(fields: Sequence[nn.Module]) -> Iterator[list[int]]:
    """Yield how often each field was evaluated, as it goes."""
    counts = [0] * len(fields)

    def count(place: int) -> Callable[..., None]:
        def hook(*_: object) -> None:
            counts[place] += 1

        return hook

    hooks = [field.register_forward_pre_hook(count(n)) for n, field in enumerate(fields)]
    try:
        yield counts
    finally:
        for hook in hooks:
            hook.remove()


def network_of(denoiser: Any) -> Any:
    """Return the network of a diffusion denoiser, None where there is none."""
    return getattr(getattr(denoiser, "diffusion", None), "backbone", None)


def exchangeable(network: Any) -> bool:
    """Return whether the solver of a network can be exchanged."""
    integrator = getattr(network, "integrator", None)
    known = is_dataclass(integrator) and all(hasattr(integrator, name) for name in EXCHANGED)
    return known and hasattr(integrator, "scheme")


def explained(fault: Invalid, denoiser: Any, again: Callable[[], object]) -> Invalid:
    """Return a fault with the place where a network's solver went wrong, where that is the cause.

    Nothing is looked at while all is well. Only now the same is done once more, every slope
    watched.

    Args:
        fault: What is wrong with a result.
        denoiser: What made it.
        again: Makes it once more.
    """
    network = network_of(denoiser)
    if not exchangeable(network):
        return fault
    own = network.integrator
    network.integrator = replace(own, watched=True)
    try:
        again()
    except (BenchError, ArithmeticError) as found:
        return Invalid(f"{fault}: {found}")
    finally:
        network.integrator = own
    return fault
