"""Cross-checks on the field's own test sets: classic denoisers beside their published values."""

from collections.abc import Iterator

from bench.api import Cell, Kind, register
from bench.experiments import cells
from bench.experiments.trained import classic
from bench.plan import Study
from bench.registry import find


@register(
    Kind.EXPERIMENT,
    "classics",
    source="Zhang et al. 2017 (DnCNN), Zhang et al. 2018 (FFDNet); protocol, Classics",
)
def plan(study: Study) -> Iterator[Cell]:
    """Yield the cells of this experiment.

    A denoiser with published weights is left out where they are not for: other channels or levels.
    """
    yield from cells.canaries(study)
    asked = study.budget.classics
    for testset in asked.testsets:
        for sigma_255 in asked.sigmas_255:
            for denoiser in asked.denoisers:
                if _is_for(denoiser, testset, sigma_255):
                    yield _restored(study, denoiser, testset, sigma_255)


def _is_for(denoiser: str, testset: str, sigma_255: float) -> bool:
    """Return whether a denoiser's weights, where it has published ones, are for such pictures."""
    build = find(Kind.DENOISER, denoiser).build
    if not isinstance(getattr(build, "weights", None), str):
        return True
    levels = [level.sigma * 255 for level in build.levels]
    near = any(abs(level - sigma_255) < 1e-6 for level in levels)
    return near and build.channels == find(Kind.TESTSET, testset).build.channels


def _restored(study: Study, denoiser: str, testset: str, sigma_255: float) -> Cell:
    """Return what a denoiser makes of a test set at one level."""
    asked = study.budget.classics
    some = {} if asked.n == "all" else {"n": asked.n}
    return Cell(
        "classics",
        {
            "denoiser": classic(study, denoiser),
            "testset": {"name": testset},
            "sigma_255": sigma_255,
            "seed": study.budget.seed,
            "table": "classics",
            **some,
        },
    )
