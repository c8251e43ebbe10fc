"""Experiments x budget -> a graph of cells with keys. Pure: nothing is measured or written."""

import fnmatch
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from bench import canonical, code, provenance
from bench.api import BenchError, Cell, Kind, Missing
from bench.budget import Budget
from bench.deciding import deciding, missing_weights, plugins
from bench.possible import refuse_impossible, refuse_unknown_samplers
from bench.registry import DIFFUSION, build, entries, find
from bench.sets import BEGIN, refuse_unfit

ALL = ("table1", "table2", "table3", "table4", "table5", "figures")
"""What `run all` stands for."""


@dataclass(frozen=True)
class Study:
    """What an experiment is asked for: the budget and the data set it runs on."""

    budget: Budget
    dataset: Mapping[str, Any]
    """The data set plug-in: name and image size."""
    channels: int
    same_data: bool = False
    """Whether the data are the paper's own."""

    def network(self, backbone: str, scale: float | None = None) -> dict[str, Any]:
        """Return the specification of a backbone at this study's width."""
        return {"name": backbone, "scale": self.budget.scale if scale is None else scale}

    def diffusion(self, backbone: str) -> dict[str, Any]:
        """Return the specification of the diffusion denoiser on a backbone."""
        spec = self.network(backbone)
        return {**spec, "name": f"{DIFFUSION}{backbone}", "recipe": self.budget.recipe}


def study_for(budget: Budget) -> Study:
    """Return the study of a budget after checking the names in it.

    Raises:
        BenchError: If a plug-in that the budget names does not exist.
    """
    recipe = build(Kind.RECIPE, budget.recipe)
    generation = budget.generation
    generation = generation.model_copy(update={"sampler": generation.sampler or recipe.sampler})
    schedule = budget.schedule or recipe.schedule
    budget = budget.model_copy(update={"schedule": schedule, "generation": generation})
    for kind, chosen in (
        (Kind.DENOISER, budget.denoising.classics),
        (Kind.FEATURES, (generation.features, *generation.more_features)),
        (Kind.SCHEDULE, (budget.schedule,)),
        (Kind.GENERATOR, budget.samplers.generators),
        (Kind.DISTILLATION, (budget.samplers.distillation,)),
        (Kind.DENOISER, budget.classics.denoisers),
        (Kind.TESTSET, budget.classics.testsets),
    ):
        for name in chosen:
            find(kind, name)
    refuse_unknown_samplers(budget)
    for engine in (budget.timing.engine, *budget.costs.engines):
        build(Kind.ENGINE, engine)
    dataset = {"name": budget.dataset, "image_size": budget.image_size}
    built = build(Kind.DATASET, budget.dataset, image_size=budget.image_size)
    for name in budget.backbones:
        refuse_impossible(name, budget, built.channels)
    refuse_unfit(budget.checkpoints, dataset, budget.scale)
    refuse_unfit(budget.train.begin, dataset, budget.scale, setting=BEGIN)
    return Study(budget, dataset, built.channels, built.same_data)


def chosen_experiments(words: Sequence[str]) -> tuple[str, ...]:
    """Return the experiments that these words name, in order and once each.

    Raises:
        BenchError: If a word names none.
    """
    chosen: dict[str, None] = {}
    for word in words:
        for name in ALL if word == "all" else (word,):
            find(Kind.EXPERIMENT, name)
            chosen[name] = None
    return tuple(chosen)


@dataclass(frozen=True)
class Planned:
    """A cell with its key and the keys of the cells that it uses."""

    key: str
    cell: Cell
    uses: tuple[str, ...]
    experiments: frozenset[str]
    unavailable: str = ""
    """Why it cannot be measured here, where that is known beforehand (missing data)."""
    basis: Mapping[str, Any] = field(default_factory=dict)
    """Everything that the key was made of: its canonical digest is the key."""


@dataclass
class Plan:
    """The cells of a run in an order in which they can be measured."""

    cells: dict[str, Planned] = field(default_factory=dict)

    def __iter__(self) -> Iterator[Planned]:
        """Iterate in order."""
        return iter(self.cells.values())

    def __len__(self) -> int:
        """Return the number of cells."""
        return len(self.cells)


def make_plan(
    study: Study,
    experiments: Sequence[str],
    *,
    device: str = "cpu",
    only: str | None = None,
    machine: Mapping[str, Any] | None = None,
) -> Plan:
    """Return the plan of some experiments.

    Args:
        study: Budget and data set.
        experiments: Their names.
        device: "cpu" or "cuda"; part of every key.
        only: A pattern on cell labels (`*cunet*`); what the matching cells use stays. One that no
            cell of an experiment matches is tried on those that they use (`train *`).
        machine: What the timings are of, part of their keys; by default this machine.

    Raises:
        BenchError: If a pattern matches nothing, or a plug-in does not exist.
    """
    wanted: list[tuple[str, Cell]] = []
    for experiment in experiments:
        cells = find(Kind.EXPERIMENT, experiment).build(study)
        chosen = cells if only is None else _matching(cells, only)
        wanted += [(experiment, cell) for cell in chosen]
    if only is not None and not wanted:
        raise BenchError(f"--only '{only}' matches no cell; see the labels with --dry-run")
    return _planned(wanted, _Keys(device, machine))


def plan_of(cells: Iterable[Cell], *, purpose: str, device: str = "cpu") -> Plan:
    """Return the plan of some cells that no experiment names."""
    return _planned([(purpose, cell) for cell in cells], _Keys(device))


def _planned(wanted: Iterable[tuple[str, Cell]], keys: "_Keys") -> Plan:
    plan = Plan()
    adder = _Adder(plan, keys)
    for experiment, cell in wanted:
        adder.add(experiment, cell)
    return plan


def _matching(cells: Iterable[Cell], only: str) -> Iterator[Cell]:
    """Yield the cells whose labels match; where none does, those that they use and that match."""
    asked = list(cells)
    own = [cell for cell in asked if fnmatch.fnmatch(cell.label, only)]
    yield from own
    held: dict[int, Cell] = {}
    todo = [] if own else asked[::-1]
    while todo:
        cell = todo.pop()
        if id(cell) not in held:
            held[id(cell)] = cell
            todo += reversed(cell.uses)
            if fnmatch.fnmatch(cell.label, only):
                yield cell


@dataclass
class _Adder:
    """Adds cells to a plan, each after those that it uses.

    A cell object is looked at once per experiment however many cells use it, and a long chain of
    cells costs no stack.
    """

    plan: Plan
    keys: "_Keys"
    _key_of: dict[int, str] = field(default_factory=dict)
    """id of a cell that is held by the experiment's cells -> its key."""
    _seen: set[tuple[str, int]] = field(default_factory=set)
    _held: list[Cell] = field(default_factory=list)
    """Keeps the ids valid."""

    def add(self, experiment: str, cell: Cell) -> None:
        """Add a cell of an experiment, and what it uses."""
        self._held.append(cell)
        todo = [(cell, False)]
        while todo:
            cell, used_are_in = todo.pop()
            if used_are_in:
                self._enter(experiment, cell)
            elif (experiment, id(cell)) not in self._seen:
                self._seen.add((experiment, id(cell)))
                todo.append((cell, True))
                todo.extend((used, False) for used in reversed(cell.uses))

    def _enter(self, experiment: str, cell: Cell) -> None:
        key = self._key_of.get(id(cell))
        if key is None:
            uses = tuple(self._key_of[id(used)] for used in cell.uses)
            key, basis, unavailable = self.keys.of(cell, uses)
            self._key_of[id(cell)] = key
            if key not in self.plan.cells:
                needed_by = frozenset({experiment})
                self.plan.cells[key] = Planned(key, cell, uses, needed_by, unavailable, basis)
                return
        known = self.plan.cells[key]
        if experiment not in known.experiments:
            needed_by = known.experiments | {experiment}
            self.plan.cells[key] = replace(known, experiments=needed_by)


class _Keys:
    """Computes keys; remembers data manifests."""

    def __init__(self, device: str, machine: Mapping[str, Any] | None = None):
        self._device = device
        self._machine = machine
        self._manifests: dict[str, tuple[Any, str]] = {}
        self._versions = provenance.deciding_versions()

    def of(self, cell: Cell, uses: tuple[str, ...]) -> tuple[str, dict[str, Any], str]:
        """Return a cell's key, what it was made of, and why it is unavailable (or nothing)."""
        unavailable = ""
        data = None
        for kind, spec in plugins(cell.spec):
            if kind in (Kind.DATASET, Kind.TESTSET):
                data, missing = self._manifest(kind, spec)
                unavailable = unavailable or missing
            elif kind is Kind.DENOISER:
                unavailable = unavailable or missing_weights(spec["name"])
        by = deciding(cell)
        basis: dict[str, Any] = {
            "task": cell.task,
            "spec": cell.spec,
            "uses": uses,
            "device": self._device,
            "modules": by.modules,
            "code": code.digest(*by.modules),
            "data": data,
            "versions": {**self._versions, **provenance.needed_versions(by.needs)},
        }
        if cell.timing:
            basis["machine"] = self._machine or provenance.machine()
        return canonical.digest(basis), basis, unavailable

    def _manifest(self, kind: Kind, spec: Mapping[str, Any]) -> tuple[Any, str]:
        name = canonical.dumps([kind, spec])
        if name not in self._manifests:
            parameters = {key: value for key, value in spec.items() if key != "name"}
            try:
                found = build(kind, spec["name"], **parameters).manifest(), ""
            except Missing as error:
                found = None, str(error)
            self._manifests[name] = found
        return self._manifests[name]


def findings() -> list[dict[str, str]]:
    """Return what plug-ins declare about themselves, for the report."""
    return [
        {"name": entry.name, "kind": entry.kind.value, "note": entry.note}
        for kind in (Kind.BACKBONE, Kind.DENOISER)
        for entry in entries(kind)
        if entry.note
    ]
