"""The plug-ins that decide a cell's value: named in its specification, or inside of those named."""

from collections.abc import Iterable, Mapping
from typing import Any

from bench import weights
from bench.api import Entry, Kind, options_of
from bench.registry import DIFFUSION, entries, find

KINDS = {kind.value: kind for kind in Kind}
SOLVER = Kind.SOLVER.value
"""A parameter of continuous networks, too: the method that solves their blocks."""


def plugins(spec: Mapping[str, Any]) -> Iterable[tuple[Kind, Mapping[str, Any]]]:
    """Yield the plug-ins of a specification; a kind may hold one or a list of them."""
    for word, value in spec.items():
        if word in KINDS:
            for item in value if isinstance(value, list | tuple) else [value]:
                yield KINDS[word], item


def missing_weights(denoiser: str) -> str:
    """Return why a denoiser cannot be used here: its published weights are missing; or nothing."""
    named = getattr(find(Kind.DENOISER, denoiser).build, "weights", None)
    return str(weights.missing(named)) if named and weights.needed_weights([named]) else ""


def plugin_entries(kind: Kind, spec: Mapping[str, Any]) -> list[Entry]:
    """Return the entries whose source and needs decide what a plug-in does."""
    name = spec["name"]
    found = [find(kind, name)]
    if kind is Kind.DENOISER and name.startswith(DIFFUSION):
        kind, name = Kind.BACKBONE, name.removeprefix(DIFFUSION)
        found.append(find(kind, name))
    if kind is Kind.BACKBONE:
        solver = {**options_of(name)[1], **spec}.get(SOLVER)
        found += [entry for entry in entries(SOLVER) if entry.name == solver] if solver else []
    return found
