"""The cells in which a denoiser is called once on noised images: classic ones, and networks."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any, get_args

from bench.api import Cell
from bench.experiments.trained import (
    ASSUMED,
    classic,
    is_trained,
    levels_of,
    train_backbone,
    train_classic,
)
from bench.plan import Study
from bench.registry import DIFFUSION
from bench.settings import Learning


def of_network(study: Study, backbone: str, t: int) -> dict[str, Any]:
    """Return what a cell says of a network that is examined on images noised to step t."""
    budget = study.budget
    return {
        "denoiser": study.diffusion(backbone),
        "dataset": study.dataset,
        "schedule": {"name": budget.schedule},
        "t": t,
        "micro_batch": budget.micro_batch,
        "seed": budget.seed,
    }


def denoise(
    study: Study,
    denoiser: str,
    t: int,
    *,
    training: str = "blind",
    clipped: bool = False,
    schedule: str = "",
) -> Cell:
    """Return what a classic denoiser, or one network call, makes of images noised to step t.

    Args:
        study: Budget and data set.
        denoiser: A name, with options or without, or `diffusion:<backbone>`.
        t: Noising step.
        training: Of a classic denoiser that learns: "one", "level" or "blind".
        clipped: Whether it sees the noisy images clipped to [0, 1].
        schedule: Of the noise; the study's unless said otherwise.
    """
    budget = study.budget
    backbone = denoiser.removeprefix(DIFFUSION)
    said: dict[str, Any] = {"clipped": {"name": "clipped"}} if clipped else {}
    uses: tuple[Cell, ...] = ()
    if backbone != denoiser:
        spec, uses = study.diffusion(backbone), (train_backbone(study, backbone),)
    else:
        spec = classic(study, denoiser)
        if is_trained(denoiser):
            said["trained"] = {"name": training}
            uses = (train_classic(study, denoiser, levels_of(study, training, t)),)
    return Cell(
        "denoise",
        {
            "denoiser": spec,
            "dataset": study.dataset,
            "schedule": {"name": schedule or budget.schedule},
            "t": t,
            "n": budget.denoising.n_images,
            "micro_batch": budget.micro_batch,
            "seed": budget.seed,
            **said,
        },
        uses=uses,
    )


def denoised(study: Study, t: int, trainings: Iterable[str]) -> Iterator[Cell]:
    """Yield Table 4's denoisers at step t: the classic ones, and one call of every network.

    Args:
        study: Budget and data set.
        t: Noising step.
        trainings: Of those that learn; each is a row of its own.
    """
    budget = study.budget
    names = [*budget.denoising.classics, *(f"{DIFFUSION}{one}" for one in budget.backbones)]
    for clipped in (False, True) if budget.denoising.clipped else (False,):
        for name in dict.fromkeys(names):
            learns = not name.startswith(DIFFUSION) and is_trained(name)
            for training in trainings if learns else ("",):
                yield denoise(study, name, t, training=training, clipped=clipped)


def is_plain(cell: Cell, trainings: Sequence[str]) -> bool:
    """Return whether a `denoise` cell is no variant: one for each denoiser, level and schedule.

    Not clipped, told the noise's own sigma, and of these trainings the one that the report shows
    first.
    """
    first = min(trainings, key=get_args(Learning).index)
    how = cell.spec.get("trained", {"name": first})["name"]
    told = f"+{ASSUMED}=" in cell.spec["denoiser"]["name"]
    return how == first and not told and "clipped" not in cell.spec


def one_step(study: Study, denoiser: str, t: int) -> Cell:
    """Return what one network call, or a classic denoiser, makes of held-out images."""
    cell = denoise(study, denoiser, t)
    about = {"n": study.budget.denoising.n_one_step, "table": "training"}
    return replace(cell, spec={**cell.spec, **about})
