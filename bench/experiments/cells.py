"""The cells that several experiments share, each made in one place so that equal work is one cell.

Graph: train -> sample -> features -> frechet; train -> restore, denoise; latency and cost apart.
"""

from collections.abc import Iterator

from bench.api import Cell, Kind
from bench.plan import Study
from bench.registry import find

TESTED = {
    "solver": ("euler", "midpoint", "rk4", "rk4-classic"),
    "schedule": ("linear", "cosine", "sigmoid"),
}
"""The plug-ins whose known answers are measured in every run."""


def canaries(study: Study, *, timing: bool = False) -> Iterator[Cell]:
    """Yield what every experiment begins with: known answers, and the stopwatch's where it times.

    They are the same for every study, so that a store measures them once.
    """
    tested = {kind: [{"name": name} for name in names] for kind, names in TESTED.items()}
    yield Cell("canary", {"canaries": {"name": "quality"}, **tested})
    if timing:
        threads = study.budget.timing.threads
        yield Cell("canary", {"canaries": {"name": "timing"}, "threads": threads}, timing=True)


def is_trained(denoiser: str) -> bool:
    """Return whether the training loop trains a denoiser: it has a loss."""
    return hasattr(find(Kind.DENOISER, denoiser).build, "loss")


def _training(study: Study, *, classic: bool) -> dict[str, object]:
    """Return the training settings of diffusion networks, or of classic denoisers."""
    settings = study.budget.train.model_dump()
    own = {name: settings.pop(f"classic_{name}") for name in ("updates", "batch", "learning_rate")}
    return {**settings, **own, "passes": 0.0} if classic else settings


def train_backbone(study: Study, backbone: str) -> Cell:
    """Return the training of a diffusion network."""
    budget = study.budget
    return Cell(
        "train",
        {
            "denoiser": study.diffusion(backbone),
            "dataset": study.dataset,
            "training": _training(study, classic=False),
            "levels": [],
            "seed": budget.seed,
        },
    )


def _classic(study: Study, denoiser: str) -> dict[str, object]:
    """Return the specification of a classic denoiser; only learnt ones have a width."""
    width = {"scale": study.budget.denoising.classic_scale} if is_trained(denoiser) else {}
    return {"name": denoiser, **width}


def train_classic(study: Study, denoiser: str) -> Cell:
    """Return the blind training of a classic denoiser over Table 4's range of levels."""
    budget = study.budget
    return Cell(
        "train",
        {
            "denoiser": _classic(study, denoiser),
            "dataset": study.dataset,
            "schedule": {"name": budget.schedule},
            "training": _training(study, classic=True),
            "levels": list(budget.denoising.classic_levels),
            "seed": budget.seed,
        },
    )


def sample(study: Study, backbone: str, steps: int) -> Cell:
    """Return a set of generated images."""
    budget = study.budget
    return Cell(
        "sample",
        {
            "denoiser": study.diffusion(backbone),
            "dataset": study.dataset,
            "sampler": {"name": budget.generation.sampler},
            "steps": steps,
            "n": budget.generation.n_generated,
            "micro_batch": budget.micro_batch,
            "seed": budget.seed,
        },
        uses=(train_backbone(study, backbone),),
    )


def real_features(study: Study, split: str = "train") -> Cell:
    """Return the features of real images.

    Of those that may have been trained on, twice `n_real` where there are as many (for the floor);
    of held-out ones, `n_real`.
    """
    budget = study.budget
    return Cell(
        "features",
        {
            "features": {"name": budget.generation.features},
            "dataset": study.dataset,
            "split": split,
            "n": budget.generation.n_real * (2 if split == "train" else 1),
            "micro_batch": budget.micro_batch,
        },
    )


def frechet(study: Study, backbone: str, steps: int) -> Cell:
    """Return the distances between a generated set and real images, known and held out."""
    budget = study.budget
    images = sample(study, backbone, steps)
    generated = Cell(
        "features",
        {
            "features": {"name": budget.generation.features},
            "micro_batch": budget.micro_batch,
        },
        uses=(images,),
    )
    return Cell(
        "frechet",
        {
            "denoiser": study.diffusion(backbone),
            "dataset": study.dataset,
            "sampler": {"name": budget.generation.sampler},
            "features": {"name": budget.generation.features},
            "steps": steps,
            "n_real": budget.generation.n_real,
            "blocks": budget.generation.blocks,
        },
        uses=(generated, real_features(study), real_features(study, "test"), images),
    )


def latency(study: Study) -> Cell:
    """Return the time of one network call of every backbone, in the size of this study."""
    budget = study.budget
    return Cell(
        "latency",
        {
            "backbone": [study.network(name) for name in budget.backbones],
            "channels": study.channels,
            "image_size": budget.image_size,
            **budget.timing.model_dump(),
            "engine": "eager",
        },
        timing=True,
    )


def full_width_latency(study: Study, backbones: tuple[str, ...]) -> Cell:
    """Return the time of one network call at full width, 3x64x64, as the paper timed it."""
    return Cell(
        "latency",
        {
            "backbone": [study.network(name, 1.0) for name in backbones],
            "channels": 3,
            "image_size": 64,
            **study.budget.timing.model_dump(),
            "engine": "eager",
        },
        timing=True,
    )


def restore(study: Study, backbone: str, t: int) -> Cell:
    """Return the step-by-step restoration of images noised to step t."""
    budget = study.budget
    return Cell(
        "restore",
        {
            "denoiser": study.diffusion(backbone),
            "dataset": study.dataset,
            "schedule": {"name": budget.schedule},
            "t": t,
            "stride": budget.denoising.stride,
            "n": budget.denoising.n_images,
            "micro_batch": budget.micro_batch,
            "seed": budget.seed,
        },
        uses=(train_backbone(study, backbone),),
    )


def denoise(study: Study, denoiser: str, t: int) -> Cell:
    """Return what a classic denoiser makes of images noised to step t."""
    budget = study.budget
    trained = is_trained(denoiser)
    return Cell(
        "denoise",
        {
            "denoiser": _classic(study, denoiser),
            "dataset": study.dataset,
            "schedule": {"name": budget.schedule},
            "t": t,
            "n": budget.denoising.n_images,
            "micro_batch": budget.micro_batch,
            "seed": budget.seed,
        },
        uses=(train_classic(study, denoiser),) if trained else (),
    )


def ladder(study: Study) -> Cell:
    """Return the same images at every noise level (Figure 4)."""
    budget = study.budget
    return Cell(
        "ladder",
        {
            "dataset": study.dataset,
            "schedule": {"name": budget.schedule},
            "levels": list(budget.denoising.levels),
            "n": 4,
            "seed": budget.seed,
        },
    )


def cost(backbone: str, channels: int = 3, image_size: int = 64) -> Cell:
    """Return what a backbone costs at full width; Table 5's input is 3x64x64, batch 1."""
    return Cell(
        "cost",
        {
            "backbone": {"name": backbone, "scale": 1.0},
            "channels": channels,
            "image_size": image_size,
        },
    )
