"""What is said when an ODE cannot be solved: in which block, at which s, after how much work."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from bench.api import BenchError

LOOSEN = "loosen the tolerance, or use a fixed-step solver"


class Unsolved(BenchError, ArithmeticError):
    """A solver cannot go on."""

    def __init__(self, what: str, *, place: str, s: float, nfe: int, advice: str) -> None:
        """Build it.

        Args:
            what: What happened.
            place: Which block of a network; empty where there is none.
            s: Solver time of the last evaluation.
            nfe: Evaluations of the field so far, in this block.
            advice: What to do.
        """
        super().__init__(
            f"{place}{': ' if place else ''}{what} at s = {s:.4g} in evaluation {nfe}; {advice}"
        )
        self.place, self.s, self.nfe = place, s, nfe


class NotFinite(Unsolved):
    """The field returned NaN or infinity, or the state blew up."""


class Unreachable(Unsolved):
    """An adaptive solver cannot keep its tolerance, or not with so many evaluations."""


class Counted:
    """A field that counts its evaluations; it lives as long as one solution."""

    def __init__(
        self,
        field: Callable[[Any, Tensor], Tensor],
        *,
        place: str = "",
        watched: bool = False,
        most: int | None = None,
    ) -> None:
        """Build it.

        Args:
            field: The right-hand side f(s, y).
            place: Which block of a network it belongs to.
            watched: Whether every slope is looked at, which waits for the device each time.
            most: Evaluations after which it is enough; none by default.
        """
        self.field = field
        self.place = place
        self.watched = watched
        self.most = most
        self.calls = 0
        self.s: Any = 0.0

    def __call__(self, s: Any, y: Tensor) -> Tensor:
        """Return f(s, y).

        Raises:
            NotFinite: If it is watched and the slope has a NaN or an infinity.
            Unreachable: If it was evaluated often enough.
        """
        if self.most is not None and self.calls >= self.most:
            raise Unreachable(
                f"the tolerance is not kept with {self.most:,} evaluations of the field",
                advice=f"{LOOSEN}, or allow more evaluations",
                **self.so_far,
            )
        self.calls += 1
        slope = self.field(s, y)
        # Only where a step size is chosen from the values, so fixed steps never wait for a device.
        if self.watched:
            self.s = s
            if not torch.isfinite(slope).all():
                raise NotFinite(
                    "the field returned NaN or infinity",
                    advice="take smaller steps, lower the learning rate, or check the input for "
                    "NaN",
                    **self.so_far,
                )
        return slope

    @property
    def so_far(self) -> dict[str, Any]:
        """Where the last evaluation was, for an error; s may be a tensor that autograd follows."""
        s = float(torch.as_tensor(self.s).detach().min())  # of the image that is last
        return {"place": self.place, "s": s, "nfe": self.calls}

    def parameters(self) -> list[Tensor]:
        """Return the parameters of the field, where it is a module."""
        return list(self.field.parameters()) if isinstance(self.field, torch.nn.Module) else []
