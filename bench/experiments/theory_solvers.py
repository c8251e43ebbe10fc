"""How the ODEs of the study's trained networks are solved, and what that does to the result."""

import inspect
from collections.abc import Iterator
from typing import Any

from bench.api import Cell, Kind
from bench.experiments.noised import of_network
from bench.experiments.trained import train_backbone
from bench.plan import Study
from bench.registry import find

FIXED = ("euler", "midpoint", "rk4", "rk4-classic")
ADAPTIVE, APART = "dopri5", "dopri5-each"


def cells(study: Study) -> Iterator[Cell]:
    """Yield the cells: quality at every level, times at the first one.

    What needs another library has a cell of its own, so that it is measured once it is there.
    """
    theory = study.budget.theory
    for backbone in examined(study):
        training = train_backbone(study, backbone)
        for t in theory.solver_levels:
            spec = of_network(study, backbone, t)
            more = {"n": theory.solver_images, "neighbours": theory.neighbours}
            for solvers in (_built_in(study), _apart(study)):
                yield Cell("solvers", {**spec, **more, "solver": solvers}, uses=(training,))
        timed = {**of_network(study, backbone, theory.solver_levels[0]), "n": 2, **_pace(study)}
        for solvers in (_built_in(study), _apart(study)):
            yield Cell("solver_times", {**timed, "solver": solvers}, uses=(training,), timing=True)


def examined(study: Study) -> list[str]:
    """Return the networks of a study that may solve ODEs; all, where none looks like it.

    Their cells say then why there is nothing to examine.
    """
    names = list(study.budget.backbones)
    return [name for name in names if _may_solve(name)] or names


def _may_solve(backbone: str) -> bool:
    """Return whether a network has fields, as far as its class, or what its builder returns, says.

    One that says nothing may have.
    """
    build = find(Kind.BACKBONE, backbone).build
    made = build if inspect.isclass(build) else inspect.signature(build).return_annotation
    known = inspect.isclass(made) and made is not inspect.Signature.empty
    return hasattr(made, "fields") if known else True


def _built_in(study: Study) -> list[dict[str, Any]]:
    theory = study.budget.theory
    fixed = [{"name": name, "steps": list(theory.solver_steps)} for name in FIXED]
    return [*fixed, {"name": ADAPTIVE, "tolerances": list(theory.tolerances)}]


def _apart(study: Study) -> list[dict[str, Any]]:
    return [{"name": APART, "tolerances": list(study.budget.theory.tolerances)}]


def _pace(study: Study) -> dict[str, Any]:
    timing = study.budget.timing
    return {
        "threads": timing.threads,
        "repeats": timing.repeats,
        "warmup": 1,
        "most_s": timing.most_s,
    }
