"""What `bench score` measures: Table 1's cells, with the generated set exchanged for a person's."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bench.api import BenchError, Cell, Kind
from bench.budget import Budget, load_budget
from bench.canonical import digest
from bench.device import chosen_device
from bench.experiments import cells
from bench.plan import Plan, Study, plan_of
from bench.registry import build, find
from bench.score.conventions import Conventions
from bench.score.samples import Found, Wanted, look, remember
from bench.session import Folders, Session

BLOCKS = 10
"""Of the jackknife: a set is scored from two pictures in each on."""
FEWEST = 2 * BLOCKS
ABOUT_THE_GENERATED = ("denoiser", "sampler", "spacing", "steps")
"""What a specification says of a set that a network of ours made."""
SCORE = "score"


@dataclass(frozen=True)
class Asked:
    """What a person wants to have scored."""

    path: Path
    against: str
    features: str
    n: int | None
    """At most so many pictures of either set; all by default."""
    stated: Conventions
    size: int | None
    resize: bool


def settle_score(asked: Asked, *, device: str, out: Path | None) -> Session:
    """Return the session that scores a set of pictures.

    Raises:
        BenchError: If the set is none, or does not fit what it is compared with.
    """
    find(Kind.FEATURES, asked.features)
    find(Kind.DATASET, asked.against)
    found = look(asked.path, asked.stated)
    n = _count(found, asked.n)
    size = _size(found, asked)
    study = study_of(
        asked.against,
        size,
        [f"generation.{name}={value}" for name, value in
         (("features", asked.features), ("n_generated", n), ("n_real", n), ("blocks", BLOCKS))],
    )  # fmt: skip
    if found.channels == 1 and study.channels == 3:
        raise BenchError(
            f"the pictures are grey and {asked.against} is in colour; compare them with a grey "
            "data set, or store three equal channels"
        )
    wanted = Wanted(
        found.name, found.sha256, asked.stated.layout, asked.stated.low, asked.stated.high, size,
        study.channels, asked.resize,
    )  # fmt: skip
    remember(found, asked.path)
    device = chosen_device(device)
    plan = plan_of(
        [*cells.canaries(study), score_cell(study, wanted, n)], purpose=SCORE, device=device
    )
    name = f"{SCORE}-{asked.against}-{asked.features}-{found.sha256[:8]}-{n}"
    name += f"-{short_digest(wanted.spec)}"
    return session_of(study, plan, name, device=device, out=out)


def short_digest(asked: Any) -> str:
    """Return what a folder's name ends in: runs of the same thing that were asked for otherwise.

    Without it the second of them would write over the first one's results.
    """
    return digest(asked)[:8]


def study_of(dataset: str, size: int, settings: Sequence[str]) -> Study:
    """Return a study without networks of ours: the paper's settings with a few others."""
    # A sampler is in the template that the cells are made of, and taken out again.
    said = [f"image_size={size}", "generation.sampler=ddim", *settings]
    budget: Budget = load_budget("paper", said)
    changes = {"name": SCORE, "dataset": dataset, "micro_batch": 50}
    budget = budget.model_copy(update=changes)
    built = build(Kind.DATASET, dataset, image_size=size)
    about = {"name": dataset, "image_size": size}
    return Study(budget, about, built.channels, built.same_data)


def session_of(study: Study, plan: Plan, name: str, *, device: str, out: Path | None) -> Session:
    """Return the session of a plan that no experiment made."""
    plain = "".join(sign if sign.isalnum() or sign in "-_." else "-" for sign in name)
    return Session(
        study.budget, (), study.same_data, (SCORE,), plan, Folders.of(out, plain), device
    )


def score_cell(study: Study, wanted: Wanted, n: int) -> Cell:
    """Return the cell of the distances of a set, made of Table 1's own."""
    external = Cell("external", {"samples": wanted.spec, "n": n})
    template = cells.frechet(study, study.budget.backbones[0], study.budget.generation.steps[0])
    return _exchanged(template, external, {"name": wanted.name, "sha256": wanted.sha256})


def _exchanged(cell: Cell, external: Cell, about: dict[str, Any]) -> Cell:
    """Return a cell with every generated set below it exchanged for the external one."""
    if cell.task == "sample":
        return external
    uses = tuple(_exchanged(used, external, about) for used in cell.uses)
    if all(new is old for new, old in zip(uses, cell.uses, strict=True)):
        return cell  # about real images alone, and shared with other runs
    spec = {name: value for name, value in cell.spec.items() if name not in ABOUT_THE_GENERATED}
    return replace(cell, spec={"samples": about, **spec}, uses=uses)


def _count(found: Found, asked: int | None) -> int:
    """Return how many pictures are scored."""
    n = found.count if asked is None else asked
    if found.count < FEWEST or n < FEWEST:
        raise BenchError(
            f"{min(found.count, n)} picture(s) to score, expected {FEWEST} or more: a distance "
            f"between sets and its interval need {BLOCKS} blocks of two"
        )
    if n > found.count:
        raise BenchError(f"--n {n}: the set holds {found.count} pictures; ask for so many or fewer")
    return n


def _size(found: Found, asked: Asked) -> int:
    """Return the side at which sets are compared; nothing is resized unless asked to be."""
    same = found.sizes == 1 and found.width == found.height
    if asked.resize:
        if asked.size is None and not same:
            raise BenchError("--resize of pictures of several sizes, or not square: add --size")
        return asked.size or found.width
    if found.sizes > 1:
        raise BenchError(
            f"the {found.count} pictures have {found.sizes} different sizes; make them alike, or "
            "have them resized with --resize --size 64, which every result will say"
        )
    if not same:
        raise BenchError(
            f"the pictures are {found.width}x{found.height}, expected squares; cut them, or have "
            "their centre square taken with --resize --size 64, which every result will say"
        )
    if asked.size not in (None, found.width):
        raise BenchError(
            f"the pictures are {found.width}x{found.height} and --size is {asked.size}; have them "
            "resized with --resize, which every result will say, or leave --size out"
        )
    return found.width
