"""Ways from noise to images: sampler, steps, and what sampling starts from or goes through."""

from dataclasses import dataclass
from typing import Any

from bench.api import Cell, Kind
from bench.experiments.trained import (
    generator,
    is_trained,
    student_of,
    train_backbone,
    train_generator,
)
from bench.named_options import options_of
from bench.plan import Study
from bench.possible import SPACING, UNIFORM, spaced
from bench.registry import find


@dataclass(frozen=True)
class Way:
    """How a trained network makes images."""

    sampler: str
    """Its name with its options, in one form."""
    steps: int
    n: int
    """Images."""
    spacing: str = UNIFORM
    generator: str = ""
    """Makes the images that sampling starts from; "" where it starts from pure noise."""
    start: int | None = None
    """The level to which those are noised."""
    student: int | None = None
    """Steps for which the network was distilled; None for the network as it was trained."""

    def about(self, study: Study) -> dict[str, Any]:
        """Return what tells this way from others, apart from numbers of steps and images."""
        said: dict[str, Any] = {"sampler": {"name": self.sampler}}
        if self.spacing != UNIFORM:
            said[SPACING] = self.spacing
        if self.generator:
            said |= {"generator": generator(study, self.generator), "start": self.start}
        if self.student is not None:
            said["student"] = self.student
        return said

    def images(self, study: Study, backbone: str) -> Cell:
        """Return the set of images that a network generates in this way."""
        budget = study.budget
        return Cell(
            "sample",
            {
                "denoiser": study.diffusion(backbone),
                "dataset": study.dataset,
                **self.about(study),
                SPACING: self.spacing,
                "steps": self.steps,
                "n": self.n,
                "micro_batch": budget.micro_batch,
                "seed": budget.seed,
            },
            uses=self._used(study, backbone),
        )

    def _used(self, study: Study, backbone: str) -> tuple[Cell, ...]:
        if self.student is None:
            weights = train_backbone(study, backbone)
        else:
            weights = student_of(study, backbone, self.student)
        used = [weights]
        if is_estimated(self.sampler):
            used.append(estimate(study, backbone, self.sampler, weights=weights))
        if self.generator and is_trained(self.generator, Kind.GENERATOR):
            used.append(train_generator(study, self.generator))
        return tuple(used)


def way_of(text: str, steps: int, n: int) -> Way:
    """Return the way that a sampler's name tells: `dpmpp-2m+spacing=log-snr`.

    Raises:
        BenchError: If the options are no options.
    """
    sampler, spacing = spaced(text)
    return Way(sampler, steps, n, spacing)


def is_estimated(sampler: str) -> bool:
    """Return whether a sampler needs numbers that are measured beforehand."""
    return hasattr(find(Kind.SAMPLER, sampler).build, "estimate")


def estimate(study: Study, backbone: str, sampler: str, *, weights: Cell) -> Cell:
    """Return what a sampler measures of a trained network beforehand, whatever its options."""
    budget = study.budget
    return Cell(
        "estimate",
        {
            "denoiser": study.diffusion(backbone),
            "dataset": study.dataset,
            "sampler": {"name": options_of(sampler)[0]},
            "n": budget.samplers.estimate_images,
            "micro_batch": budget.micro_batch,
            "seed": budget.seed,
        },
        uses=(weights,),
    )
