"""One known answer, and the row that says whether it was found."""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from bench.api import Row

Answer = float | str


@dataclass(frozen=True, slots=True)
class Canary:
    """Something whose answer is known before it is measured."""

    name: str
    expected: Answer
    tolerance: float
    """Greatest difference that passes; a text must be equal."""
    measure: Callable[[], Answer]
    basis: str
    """Why the answer is known."""

    def row(self) -> Row:
        """Measure it; a fault is a canary that did not pass, and never ends the others."""
        measured: Answer | None = None
        fault = ""
        try:
            measured = self.measure()
        except Exception as error:
            fault = f"{type(error).__name__}: {error}"
        if isinstance(measured, float) and not math.isfinite(measured):
            measured, fault = None, f"it measured {measured}"
        return {
            "canary": self.name,
            "expected": self.expected,
            "measured": measured,
            "tolerance": self.tolerance,
            "passed": self._passes(measured),
            "basis": self.basis,
            "fault": fault,
        }

    def _passes(self, measured: Answer | None) -> bool:
        if measured is None or isinstance(measured, str) or isinstance(self.expected, str):
            return measured == self.expected
        return abs(measured - self.expected) <= self.tolerance


def rows(canaries: Iterable[Canary]) -> list[Row]:
    """Measure canaries in order."""
    return [canary.row() for canary in canaries]
