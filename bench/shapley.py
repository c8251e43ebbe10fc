"""What each of several choices contributes to a number, where they act together.

The value with every subset of the choices made otherwise is known. A choice contributes the change
that it brings when it is made, averaged over all orders in which the choices can be made; so the
contributions add up exactly to the change that all of them bring together.

Source: Shapley 1953, "A value for n-person games".
"""

from collections.abc import Hashable, Mapping
from math import factorial
from typing import TypeVar

from bench.errors import BenchError

Value = TypeVar("Value")
"""A number, or an array of numbers."""
Name = TypeVar("Name", bound=Hashable)


def shapley(values: Mapping[frozenset[Name], Value]) -> dict[Name, Value]:
    """Return what each choice contributes to values(all) - values(none).

    Args:
        values: Set of the choices that are made otherwise -> the value; for every subset.

    Raises:
        BenchError: If a subset is missing.
    """
    names = sorted(frozenset().union(*values), key=str)
    expected = 2 ** len(names)
    if len(values) != expected:
        raise BenchError(
            f"contributions of {len(names)} choices: {len(values)} values, expected {expected}, "
            "one for every subset of them"
        )
    return {name: _mean_change(values, name, len(names)) for name in names}


def _mean_change(values: Mapping[frozenset[Name], Value], name: Name, count: int) -> Value:
    total = None
    # In one order, so that equal values give equal sums to the last bit.
    order = sorted(values, key=lambda chosen: (len(chosen), sorted(map(str, chosen))))
    for chosen in order:
        if name in chosen:
            continue
        weight = factorial(len(chosen)) * factorial(count - len(chosen) - 1) / factorial(count)
        part = weight * (values[chosen | {name}] - values[chosen])
        total = part if total is None else total + part
    return total
