"""Plug-ins that another one names: a network its solver, a recipe its schedule and sampler."""

from collections.abc import Callable
from typing import Any

from bench.api import ENTRIES, BenchError, Kind


def registered(kind: Kind, name: str) -> Callable[..., Any]:
    """Return the builder of that name, whoever registered it.

    Raises:
        BenchError: If there is none.
    """
    if (kind, name) not in ENTRIES:
        known = sorted(name for of, name in ENTRIES if of is kind)
        raise BenchError(f"no {kind} named '{name}'; known: {', '.join(known)}")
    return ENTRIES[kind, name].build
