"""What decides a cell's value: its task, its plug-ins, and what their options name."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from bench import code, weights
from bench.api import Cell, Entry, Kind, options_of
from bench.registry import DIFFUSION, build, entries, find
from bench.strangers import origin

KINDS = {kind.value: kind for kind in Kind}


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


@dataclass(frozen=True, slots=True)
class Deciding:
    """Whose code and whose libraries decide what a cell measures."""

    modules: list[str]
    """Whose source does, with all that it imports."""
    needs: list[str]
    """Distributions that plug-ins declare (`torchode>=1.0`)."""


def deciding(cell: Cell) -> Deciding:
    """Return what decides a cell's value.

    What an option names (`cunet+solver=mine`) is looked up when it is needed, and no import leads
    to it. Its module is added where it is not reached anyway, as what lies beside the networks is.
    """
    own, named = _taking_part(cell)
    modules = {entry.build.__module__ for entry in (find(Kind.TASK, cell.task), *own)}
    if named:
        modules |= {entry.build.__module__ for entry in named}.difference(code.reach(modules))
    return Deciding(sorted(modules), sorted({n for one in (*own, *named) for n in one.needs}))


def guests(cells: Iterable[Cell]) -> list[dict[str, str]]:
    """Return the plug-ins of other distributions that cells need, and where they come from."""
    parts: dict[tuple[str, str], Entry] = {}
    for cell in cells:
        own, named = _taking_part(cell)
        for entry in (find(Kind.TASK, cell.task), *own, *named):
            parts[entry.kind.value, entry.name] = entry
    return [
        {"kind": kind, "name": name, **whence}
        for (kind, name), entry in sorted(parts.items())
        if (whence := origin(entry))
    ]


def _taking_part(cell: Cell) -> tuple[list[Entry], list[Entry]]:
    """Return the plug-ins that a cell's specification names, and those that their options do."""
    own: list[Entry] = []
    named: list[Entry] = []
    for kind, spec in plugins(cell.spec):
        own += _own(kind, spec["name"])
        named += _named(kind, spec)
    return own, named


def _own(kind: Kind, name: str) -> Iterator[Entry]:
    yield find(kind, name)
    if _is_diffusion(kind, name):
        yield find(Kind.BACKBONE, name.removeprefix(DIFFUSION))


def _is_diffusion(kind: Kind, name: str) -> bool:
    return kind is Kind.DENOISER and name.startswith(DIFFUSION)


def _named(kind: Kind, spec: Mapping[str, Any]) -> Iterator[Entry]:
    """Yield the solver, recipe and schedule that a plug-in's options name."""
    name = spec["name"]
    if kind is Kind.BACKBONE:
        yield from _of_solver({**options_of(name)[1], **spec})
    elif kind is Kind.RECIPE:
        yield from _of_schedule(name)
    elif _is_diffusion(kind, name):
        yield from _of_solver({**options_of(name.removeprefix(DIFFUSION))[1], **spec})
        if recipe := spec.get("recipe"):
            yield find(Kind.RECIPE, recipe)
            yield from _of_schedule(recipe)


def _of_solver(options: Mapping[str, Any]) -> Iterator[Entry]:
    # What a stranger's network calls a solver need not be one of these: it is the network's affair.
    solver = options.get("solver")
    yield from (entry for entry in entries(Kind.SOLVER) if entry.name == solver)


def _of_schedule(recipe: str) -> Iterator[Entry]:
    yield find(Kind.SCHEDULE, build(Kind.RECIPE, recipe).schedule)
