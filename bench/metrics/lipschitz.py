"""How far a map stretches a small change: the largest singular value of its Jacobian, by iteration.

Every image of a batch has a Jacobian of its own, and all are iterated at once: row i of an output
depends on row i of the input alone.

Notation: J Jacobian, v and u its right and left singular vectors, sigma the singular value.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from bench.api import Invalid

TINY = 1e-30
"""Below it a length counts as 0."""
LEAST = 12
"""Iterations before the residual is believed. A map that is nearly the identity leaves any start
where it is; by then a direction that is stretched 22 % more leads, though it was 1/128 of it."""


@dataclass(frozen=True)
class Stretch:
    """The largest singular values that were found, for each of B inputs."""

    sigma: Tensor
    """[B] float64: |J v| of a direction v, so never above the largest singular value."""
    direction: Tensor
    """v, shaped like the input, of length 1 for each image."""
    residual: Tensor
    """[B] float64: |J^T u - sigma v| / sigma. A singular value lies within that share of sigma."""
    iterations: int
    """Products with J and J^T that each took."""
    tolerance: float

    @property
    def converged(self) -> Tensor:
        """[B]: whether the residual is within the tolerance; else sigma is a lower bound only."""
        return self.residual <= self.tolerance


class Linearised:
    """A map near some inputs: products with its Jacobian and its transpose, from one evaluation.

    J v comes from differentiating w -> J^T w, which is linear, so that no operator needs a forward
    derivative of its own.
    """

    def __init__(self, function: Callable[[Tensor], Tensor], x: Tensor, name: str) -> None:
        """Evaluate the map.

        Args:
            function: Maps x [B,...] to [B,...], differentiable twice.
            x: Where.
            name: What faults call it.

        Raises:
            Invalid: If its output cannot be differentiated by its input, or is not finite.
        """
        self.name = name
        with torch.inference_mode(False), torch.enable_grad():
            self.x = x.detach().clone().requires_grad_()
            # A copy, as a network may write into what it is given.
            self.y = function(self.x.clone())
            if not isinstance(self.y, Tensor) or not self.y.requires_grad:
                raise self._not_connected()
            self._refuse_infinite(self.y, "output")
            self._w = torch.zeros_like(self.y, requires_grad=True)
            pulled = self._grad(self.y, self.x, self._w, keep=True)
            if pulled is None:
                raise self._not_connected()
            if not pulled.requires_grad:
                raise self._not_twice("it does not depend on what is pulled back")
            self._pulled = pulled

    def transposed(self, u: Tensor) -> Tensor:
        """Return J^T u, shaped like the input."""
        with torch.inference_mode(False):
            return self._grad(self.y, self.x, u)

    def times(self, v: Tensor) -> Tensor:
        """Return J v, shaped like the output.

        Raises:
            Invalid: If the derivative cannot be differentiated, or is not finite.
        """
        with torch.inference_mode(False):
            found = self._grad(self._pulled, self._w, v)
            if found is None:
                raise self._not_twice("it does not depend on what is pulled back")
            return found

    def _grad(self, y: Tensor, x: Tensor, along: Tensor, *, keep: bool = False) -> Tensor | None:
        try:
            (found,) = torch.autograd.grad(
                y, x, along, create_graph=keep, retain_graph=True, allow_unused=True
            )
        except (RuntimeError, NotImplementedError) as error:
            raise self._not_twice(f"{type(error).__name__}: {error}") from error
        if found is not None:
            self._refuse_infinite(found, "Jacobian")
        return found

    def _not_connected(self) -> Invalid:
        return Invalid(
            f"'{self.name}' has no derivative by its input: autograd does not reach it from the "
            "output (numpy, .detach() or torch.no_grad() inside?); compute it with torch operators"
        )

    def _not_twice(self, why: str) -> Invalid:
        words = " ".join(why.split())[:200]
        return Invalid(
            f"the derivative of '{self.name}' cannot be differentiated again ({words}); use "
            "operators that autograd can follow twice (no adjoint, no fused attention)"
        )

    def _refuse_infinite(self, values: Tensor, what: str) -> None:
        bad = (~torch.isfinite(values.detach())).flatten(1).any(1).nonzero().flatten().tolist()
        if bad:
            raise Invalid(
                f"the {what} of '{self.name}' holds NaN or infinity for {len(bad)} of "
                f"{len(values)} inputs, first input {bad[0]} of its batch"
            )


def largest_singular_value(
    function: Linearised, start: Tensor, *, tolerance: float, iterations: int
) -> Stretch:
    """Return the largest singular value of the Jacobian at every input, by power iteration.

    sigma = |J v| never falls from one iteration to the next and never exceeds the largest singular
    value, whether it converged or not. It ends when every residual is within the tolerance, but not
    before `LEAST` iterations.

    Source: Golub and Van Loan 2013, "Matrix Computations", sections 7.3.1 and 8.6: the power method
    on J^T J; a residual r of a singular triple means a singular value within r of sigma.

    Args:
        function: The map.
        start: First directions, shaped like the input; nothing of them need be known.
        tolerance: Of the residual, as a share of sigma.
        iterations: No more than so many.
    """
    v, done = unit(start), 0
    while True:
        pushed = function.times(v)
        sigma = lengths(pushed)
        pulled = function.transposed(_scaled(pushed, 1 / sigma.clamp_min(TINY)))
        done += 1
        residual = lengths(pulled - _scaled(v, sigma)) / sigma.clamp_min(TINY)
        residual[sigma <= TINY] = 0.0  # nothing is stretched: 0 is exact, for this direction
        settled = done >= LEAST and bool((residual <= tolerance).all())
        if settled or done >= iterations:
            return Stretch(sigma, v, residual, done, tolerance)
        longer = lengths(pulled)
        v = torch.where(_shaped(longer > TINY, v), unit(pulled), v)


def lengths(x: Tensor) -> Tensor:
    """Return the Euclidean length of every x[i], [B] float64."""
    return x.detach().flatten(1).double().norm(dim=1)


def unit(x: Tensor) -> Tensor:
    """Return x with every x[i] of length 1."""
    return _scaled(x.detach(), 1 / lengths(x).clamp_min(TINY))


def _scaled(x: Tensor, by: Tensor) -> Tensor:
    return (x.double() * _shaped(by, x)).to(x.dtype)


def _shaped(values: Tensor, like: Tensor) -> Tensor:
    return values.reshape(-1, *[1] * (like.dim() - 1))
