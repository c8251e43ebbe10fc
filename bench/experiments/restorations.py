"""Cells about restored images beside the tables: the authors' protocol, distances of sets."""

from collections.abc import Iterator, Sequence

from bench.api import Cell
from bench.experiments.cells import real_features, restore
from bench.experiments.noised import is_plain
from bench.experiments.trained import train_backbone
from bench.plan import Study
from bench.registry import DIFFUSION

NOTEBOOK_SIGMAS = (0.1, 0.2)
"""Noise of the authors' notebook: that of its step by step comparison, and the largest there."""

MOST_OTHERS = 3000
"""Clean images that restored ones are held against, at most: all pairs are looked at."""


def step_by_step(study: Study) -> Iterator[Cell]:
    """Yield the restorations of Tables 2 and 3, and their clipped variant where it is asked for."""
    for clipped in (False, True) if study.budget.denoising.clipped else (False,):
        for t in study.budget.denoising.levels:
            for backbone in study.budget.backbones:
                yield restore(study, backbone, t, clipped=clipped)


def notebook(study: Study, backbone: str) -> Cell:
    """Return the restoration of one image as the authors' notebook does it."""
    budget = study.budget
    return Cell(
        "notebook",
        {
            "denoiser": study.diffusion(backbone),
            "dataset": study.dataset,
            "sigmas": list(NOTEBOOK_SIGMAS),
            "stride": budget.denoising.stride,
            "seed": budget.seed,
        },
        uses=(train_backbone(study, backbone),),
    )


def perception(study: Study, restored: Cell) -> Cell:
    """Return the distances of the images that a `restore` or `denoise` cell made to clean ones."""
    budget = study.budget
    about = ("denoiser", "dataset", "schedule", "t", "micro_batch", "clipped")
    return Cell(
        "perception",
        {
            **{name: restored.spec[name] for name in about if name in restored.spec},
            "features": {"name": budget.generation.features},
            "n_real": min(budget.generation.n_real, MOST_OTHERS),
            "blocks": budget.generation.blocks,
        },
        uses=(restored, real_features(study, "test")),
    )


def is_compared(cell: Cell, trainings: Sequence[str]) -> bool:
    """Return whether the images of a cell are compared, as sets, with clean ones: no variant is.

    What a network makes in one call is among those of its restoration.
    """
    if cell.task == "denoise":
        network = cell.spec["denoiser"]["name"].startswith(DIFFUSION)
        return not network and is_plain(cell, trainings)
    return cell.task == "restore" and "clipped" not in cell.spec
