"""What a check of the theory returns: claims with a verdict, and curves to look at."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum


class Holds(StrEnum):
    """What became of a claim."""

    YES = "holds"
    NO = "does not hold"
    PARTLY = "holds in part"
    OPEN = "not decided"


@dataclass(frozen=True, slots=True)
class Claim:
    """What a source says, and what was found."""

    place: str
    """Where it is said: "Proposition 3.1"."""
    text: str
    """The claim in one sentence, in plain words."""
    holds: Holds
    found: str
    """What was found, in one sentence with its numbers."""
    numbers: Mapping[str, float] = field(default_factory=dict)
    """The numbers behind the sentence: quantity with its unit -> value."""


@dataclass(frozen=True, slots=True)
class Curve:
    """A line of points in a panel."""

    panel: str
    """The panel's title; curves of one panel share their axes."""
    label: str
    x: Sequence[float]
    y: Sequence[float]
    x_axis: str
    """What x is, with its unit."""
    y_axis: str
    low: Sequence[float] = ()
    """Ends of the 95 % intervals, where there are any."""
    high: Sequence[float] = ()
    logarithmic: str = "xy"
    """Which axes are: "", "x", "y" or "xy"."""
    reference: bool = False
    """Whether it is what theory predicts, and nothing that was measured."""


@dataclass(frozen=True, slots=True)
class Checked:
    """The outcome of a check."""

    claims: Sequence[Claim]
    curves: Sequence[Curve] = ()
