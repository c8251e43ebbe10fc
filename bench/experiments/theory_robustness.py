"""How robust the study's trained networks are: their outputs, and block by block."""

from collections.abc import Iterator

from bench.api import Cell
from bench.experiments.noised import of_network
from bench.experiments.trained import train_backbone
from bench.plan import Study

UNTIL = {"tolerance": 0.1, "iterations": 100}
"""Of the power iteration: what remains of a singular triple, as a share, and how often at most."""


def cells(study: Study) -> Iterator[Cell]:
    """Yield the cells that examine every trained network at every level."""
    theory = study.budget.theory
    for t in theory.jacobian_levels:
        for backbone in study.budget.backbones:
            training = train_backbone(study, backbone)
            spec = {**of_network(study, backbone, t), **UNTIL}
            more = {"n": theory.n_images, "n_jacobian": theory.n_jacobian}
            yield Cell("robustness", {**spec, **more}, uses=(training,))
            yield Cell("lipschitz", {**spec, "n": theory.n_jacobian}, uses=(training,))
