"""How much a cell has to do - images through networks, pairs compared - read off the plan."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

from bench.api import Cell
from bench.forecast.calls import calls_of_estimating, calls_of_restoring, calls_of_sampling
from bench.plan import Planned
from bench.shipped import CHECKPOINT
from bench.tasks.convergence import snapshots_of
from bench.tasks.judge import lessons_of
from bench.tasks.notebook import STEPS as NOTEBOOK_STEPS
from bench.tasks.notebook import VARIANTS
from bench.tasks.restore import PATH, SHARES
from bench.tasks.train import HELD_OUT, REPEATS
from bench.training import TrainSettings
from bench.validation import IMAGES, THIRDS, points

READINGS = 2
"""Estimates that a restoration shows after every call; they are one before it, and at its end."""
TEACHER = 2
"""Calls of the teacher in a distillation, for each image of an update."""


Counts = Mapping[str, int]
"""Images of a data set by split, where it is here."""
NOTHING: Counts = MappingProxyType({})


@dataclass(frozen=True)
class Work:
    """Images that go through the networks of a cell, and what else takes long."""

    forward: int = 0
    """Through the denoiser without gradients, one call each."""
    updates: int = 0
    """Images that go through it forwards and backwards."""
    scored: int = 0
    """Estimates that are scored."""
    features: int = 0
    """Images through the feature extractor."""
    pairs: int = 0
    """Pairs of feature vectors whose distance or kernel is computed."""
    judged: int = 0
    """Through a classifier without gradients."""
    taught: int = 0
    """Through it in its training."""

    @property
    def images(self) -> int:
        """Images that go through a network, however."""
        looked_at = self.features + self.judged + self.taught
        return self.forward + self.updates + self.scored + looked_at


def work_of(planned: Planned) -> Work | None:
    """Return what a cell has to do; None for cells of which that cannot be told.

    Of data that are not on this machine there are taken to be as many images as are asked for.
    """
    tell = TOLD.get(planned.cell.task)
    counts = (planned.basis.get("data") or {}).get("counts", {})
    return tell(planned.cell, counts) if tell else None


def images_of(cell: Cell, counts: Counts = NOTHING) -> int:
    """Return how many images a cell makes, or whose features it extracts."""
    count: int = cell.spec["n"] if "n" in cell.spec else images_of(cell.uses[0])
    return min(count, counts.get(cell.spec.get("split", ""), count))


def _pairs(real: int, generated: int, known: int, held_out: int = 0) -> int:
    """Return the pairs of features that the distances of a generated set look at.

    Kernel distance: within both sets once, and between them. Precision, recall, density, coverage:
    within both and between them, of sets of one size. Memorisation: to every known image.
    """
    real = min(real, known)
    fewest = min(real, generated)
    kernel = real * real // 2 + generated * generated // 2 + real * generated
    return kernel + 3 * fewest * fewest + known * (generated + held_out)


def _perceived(cell: Cell, counts: Counts) -> Work:
    restored, held_out = cell.uses[:2]
    sets = PATH + len(SHARES) if restored.task == "restore" else 1
    count = images_of(restored)
    reference = max(0, min(cell.spec["n_real"], images_of(held_out, counts) - count))
    kernel = count * count // 2 + reference * reference // 2 + count * reference
    padded = _padded({**cell.spec, "n": count})
    return Work(features=sets * padded, pairs=(sets + 1) * kernel)


def _training(cell: Cell, counts: Counts) -> Work:
    settings, test = TrainSettings(**cell.spec["training"]), counts.get("test", HELD_OUT)
    held_out = REPEATS * min(HELD_OUT, test)
    if CHECKPOINT in cell.spec:
        return Work(forward=held_out)
    watched = settings.validations * len(THIRDS) * min(IMAGES, test)
    return Work(
        forward=held_out + watched, updates=settings.batch * settings.total(counts.get("train", 1))
    )


def _distilled(cell: Cell, counts: Counts) -> Work:
    learnt = _training(cell, counts)
    return replace(learnt, forward=learnt.forward + TEACHER * learnt.updates)


def _looked_at(cell: Cell, counts: Counts) -> Work:
    """Return the work of a training whose averaged weights are looked at on the way."""
    spec, settings = cell.spec, TrainSettings(**cell.spec["training"])
    snapshots = snapshots_of(settings.updates, spec["fractions"])
    looks = points(settings.updates, settings.validations).union(snapshots)
    images = _padded({**spec, "n": spec["n_generated"]})
    calls = sum(calls_of_sampling({**spec, "steps": steps}) for steps in spec["sampling_steps"])
    watched = len(looks) * len(THIRDS) * min(spec["n"], counts.get("test", spec["n"]))
    return Work(
        forward=len(snapshots) * images * calls + watched,
        updates=settings.batch * settings.updates,
    )


def _sampled(cell: Cell, _: Counts) -> Work:
    return Work(forward=_padded(cell.spec) * calls_of_sampling(cell.spec))


def _estimated(cell: Cell, _: Counts) -> Work:
    return Work(forward=_padded(cell.spec) * calls_of_estimating(cell.spec))


def _restored(cell: Cell, _: Counts) -> Work:
    images, states = _padded(cell.spec), calls_of_restoring(cell.spec)
    return Work(forward=images * states, scored=images * (READINGS * states + len(SHARES)))


def _as_the_notebook(cell: Cell, _: Counts) -> Work:
    ways = len(cell.spec["sigmas"]) * len(VARIANTS)
    calls = -(-NOTEBOOK_STEPS // cell.spec["stride"])
    return Work(forward=ways * calls, scored=ways * (calls + 1))


def _denoised(cell: Cell, _: Counts) -> Work:
    return Work(forward=_padded(cell.spec), scored=_padded(cell.spec))


def _extracted(cell: Cell, counts: Counts) -> Work:
    return Work(features=_padded({**cell.spec, "n": images_of(cell, counts)}))


def _compared(cell: Cell, counts: Counts) -> Work:
    sets = [images_of(one, counts) for one in cell.uses if one.task == "features"]
    return Work(pairs=_pairs(cell.spec["n_real"], *sets))


def _taught(_: Cell, counts: Counts) -> Work:
    train = counts.get("train", 1)
    return Work(judged=counts.get("test", 1), taught=lessons_of(train).epochs * train)


def _judged(cell: Cell, _: Counts) -> Work:
    return Work(judged=images_of(cell.uses[1]))


TOLD: Mapping[str, Callable[[Cell, Counts], Work]] = {
    "train": _training,
    "distil": _distilled,
    "convergence": _looked_at,
    "sample": _sampled,
    "estimate": _estimated,
    "restore": _restored,
    "notebook": _as_the_notebook,
    "denoise": _denoised,
    "features": _extracted,
    "frechet": _compared,
    "perception": _perceived,
    "judge": _taught,
    "judged": _judged,
}
"""What cells of these tasks do."""


def _padded(spec: Mapping[str, Any]) -> int:
    size = spec["micro_batch"]
    return -(-spec["n"] // size) * size
