"""The groups of settings that a budget is made of, and what a setting may be."""

from itertools import pairwise
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator


def _one_line(text: str) -> str:
    if not text.isprintable():
        raise ValueError("it holds characters that cannot be printed")
    return text


Count = Annotated[int, Field(ge=1, le=10**12)]
Many = Annotated[int, Field(ge=2, le=10**12)]
Word = Annotated[str, Field(max_length=4096), AfterValidator(_one_line)]
Step = Annotated[int, Field(ge=1, le=1000)]
"""A step of the diffusion, of which every schedule has 1,000."""
Steps = Annotated[tuple[Step, ...], Field(min_length=1)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Fraction = Annotated[float, Field(ge=0, lt=1, allow_inf_nan=False)]
Seconds = Annotated[float, Field(gt=0, le=1e8, allow_inf_nan=False)]

LEVELS = (50, 100, 150, 200, 250, 400, 600, 800)
"""The noising steps of Tables 2 and 3."""
STEPS = (5, 10, 20, 30, 40, 50, 60, 70, 80, 90, 100, 250)
"""The sampling steps of Table 1's search (protocol)."""


SAMPLERS = (
    *("ddpm", "ddim", "analytic-ddpm", "euler", "reverse-sde"),
    *("heun+spacing=log-snr", "dpmpp-2m+spacing=log-snr"),
)
"""Those that are compared unless said otherwise, on the steps that their papers advise."""

CLASSICS = (
    *("identity", "bm3d", "bm3d-torch", "bm3d-torch+assumed_sigma=0.05"),
    *("wiener", "conv-ae", "dncnn"),
)
"""The denoisers of Table 4 that are no diffusion, with one that is told a wrong sigma."""
Learning = Literal["one", "level", "blind"]


class Settings(BaseModel):
    """A frozen group of settings that refuses unknown names."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def _refuse_few(images: int, blocks: int) -> None:
    if images < 2 * blocks:
        raise ValueError(f"{images} images in {blocks} blocks, expected 2 in each or more")


class Generation(Settings):
    """Table 1: distance between generated and real images against sampling steps."""

    steps: Steps = STEPS
    """Sampling steps of which each has a distance."""
    n_generated: Many = 30_000
    """Images that a network makes with each of those."""
    n_real: Many = 30_000
    """Real images that they are compared with; as many as there are, where those are fewer."""
    sampler: Word = ""
    """What makes them, with options (`ddim+eta=0.5`); the recipe's unless said otherwise."""
    features: Word = "alexnet"
    """The extractor in whose features the distance is."""
    more_features: tuple[Word, ...] = ()
    """Extractors beside it, for Table 1; one without weights here is left out."""
    blocks: Many = 10
    """Blocks of the delete-block jackknife interval."""

    @model_validator(mode="after")
    def _enough_for_the_blocks(self) -> Self:
        _refuse_few(min(self.n_generated, self.n_real), self.blocks)
        return self


class Denoising(Settings):
    """Tables 2 to 4: restoring noised images."""

    levels: Steps = LEVELS
    """The noising steps of Tables 2 and 3."""
    classic_levels: Steps = (50, 150, 400)
    """The levels of Table 4."""
    n_images: Many = 300
    """Held-out images that are noised and restored, of Tables 2 to 4."""
    n_one_step: Many = 1000
    """Held-out images of the experiment `training`, each restored with one network call."""
    stride: Count = 1
    """Reverse steps per network call; 1 is the paper's."""
    classics: tuple[Word, ...] = CLASSICS
    """With options (`bm3d-torch+assumed_sigma=0.05`: told that sigma, whatever the noise is)."""
    classic_scale: Positive = 1.0
    """Width of DnCNN and the autoencoder against the authors'."""
    trainings: Annotated[tuple[Learning, ...], Field(min_length=1)] = ("one", "level", "blind")
    """How those two are trained: at `one_level` (`one`), at each level of Table 4 (`level`), over
    their range (`blind`)."""
    one_level: Step = 100
    """The noising step of the training `one`; the authors' sigma of 0.1 is that of 100."""
    clipped: bool = False
    """Whether Tables 2 to 4 have a second block, of the same noisy images clipped to [0, 1]."""


class Classics(Settings):
    """Cross-checks on published test sets: whole pictures, values that the literature knows."""

    denoisers: tuple[Word, ...] = ("identity", "dncnn-kair-25", "bm3d-torch", "bm3d")
    """What restores them; one with published weights is measured only where they are for."""
    testsets: tuple[Word, ...] = ("set12", "bsd68", "cbsd68")
    """Whole pictures, published with others' values."""
    sigmas_255: Annotated[tuple[Count | Positive, ...], Field(min_length=1)] = (15, 25, 50)
    """Noise levels in grey levels, as the literature gives them."""
    n: Many | Literal["all"] = "all"
    """The first so many pictures of each set."""


class Samplers(Settings):
    """The table of samplers: distance and time against network calls."""

    names: tuple[Word, ...] = SAMPLERS
    """With options (`ddim+eta=0.5`), of which `spacing` chooses the steps (`spacing=log-snr`)."""
    steps: Steps = (5, 10, 20, 50)
    """Sampling steps of each."""
    n_generated: Many = 10_000
    """Images that each makes with each of those."""
    blocks: Many = 10
    """Blocks of the delete-block jackknife interval."""
    generators: tuple[Word, ...] = ("vae", "blurred-train")
    """Where early-stopped sampling starts from; `blurred-train` is a control that leaks."""
    early_sampler: Word = "ddpm"
    """What goes on from there, as in Lyu et al. 2022."""
    early_stop: Step = 400
    """The level T' to which the generator's images are noised before."""
    distil: tuple[Annotated[int, Field(ge=1, le=500)], ...] = (8, 4)
    """Steps of the students of progressive distillation, each half of the one before."""
    distillation: Word = "progressive"
    """How a student learns from its teacher; `list distillation` names the ways."""
    distil_updates: Count = 50_000
    """Parameter updates of each student."""
    estimate_images: Many = 10_000
    """Training images behind what a sampler measures beforehand (`analytic-ddpm`)."""

    @model_validator(mode="after")
    def _enough_for_the_blocks(self) -> Self:
        _refuse_few(self.n_generated, self.blocks)
        return self

    @model_validator(mode="after")
    def _halves(self) -> Self:
        for teacher, student in pairwise(self.distil):
            if teacher != 2 * student:
                raise ValueError(f"students of {teacher}, then {student} steps, expected halves")
        return self


class Timing(Settings):
    """Latency of a network call."""

    batch: Count = 1
    """Images per call."""
    threads: Count = 1
    """Threads of a call on the CPU."""
    repeats: Annotated[int, Field(ge=3, le=10**6)] = 30
    """Rounds, in each of which every network is called once."""
    warmup: Count = 3
    """Rounds before those, which are not timed."""
    most_s: Seconds = 15.0
    """Rounds are added until ratios are settled, but no longer than this."""
    engine: Word = "eager"
    """What runs all networks: eager, packed, compiled or graph, with options after the name."""


class Costs(Settings):
    """The cost ledger: what `costs` measures beside Table 5, at full width on 3x64x64."""

    batches: tuple[Count | Literal["largest"], ...] = (16, "largest")
    """Images per call, beside `timing.batch`; `largest` is what fits a GPU, and is skipped
    elsewhere."""
    repeats: Annotated[int, Field(ge=3, le=10**6)] = 30
    """Rounds of calls of those batches, and of the time per block."""
    most_s: Seconds = 600.0
    """After so many seconds such a comparison ends, settled or not."""
    solver_steps: Steps = (1, 2, 4, 8)
    """Steps of the ODE solver with which memory for training is measured."""
    engines: tuple[Word, ...] = (
        "eager", "packed", "compiled", "graph",
        "eager+dtype=bfloat16", "packed+dtype=bfloat16", "graph+dtype=bfloat16",
    )  # fmt: skip
    """What `speed` compares; one that this machine cannot run says why in its rows."""
    ceiling_repeats: Count = 10
    """Repeats of what measures the machine's own limits."""


class Autopsy(Settings):
    """The same images scored by other protocols."""

    levels: Steps = (50, 150, 400)
    """The noising steps of Tables 2 and 4 whose restored images are."""
    steps: Steps = (50,)
    """The sampling steps of Table 1 whose generated images are."""
    features: Annotated[tuple[Word, ...], Field(min_length=1)] = ("inception", "efficientnet-lite0")
    """Extractors beside `generation.features`; one without weights here is left out."""


class Theory(Settings):
    """The checks of the theory."""

    checks: tuple[Word, ...] = (
        "second-order", "adjoint", "reverse-sde", "local-error",
        "perception-distortion", "crossing",
    )  # fmt: skip
    """Those that no trained network is needed for."""
    effort: Annotated[int, Field(ge=1, le=1000)] = 4
    """Multiplies particles and seeds where a check draws any."""
    n_images: Many = 300
    """Held-out images on which trained networks are examined."""
    levels: Steps = (50, 150, 400, 800)
    """The noising steps at which they are examined."""
    n_jacobian: Many = 48
    """The first of `n_images`, at which Jacobians are iterated: many calls each."""
    jacobian_levels: Steps = (50, 150, 400, 800)
    """The noising steps at which Jacobians are."""
    sampled_level: Step = 400
    """The noising step from which images are also restored to the end, as samples."""
    stride: Count = 5
    """Reverse steps per network call on the way from `sampled_level`."""
    solver_images: Many = 300
    """Held-out images that a network restores under every solver."""
    solver_levels: Steps = (50, 150, 400)
    """The noising steps at which it restores them."""
    solver_steps: Steps = (1, 2, 4, 8, 16)
    """Steps of the solvers that have a fixed number."""
    tolerances: Annotated[tuple[Positive, ...], Field(min_length=1)] = (1e-2, 1e-3, 1e-5)
    """Tolerances of the adaptive solvers."""
    neighbours: Many = 16
    """Images that are also restored alone, to see what their neighbours did to them."""
    scale: Positive = 0.5
    """Width of the networks that are trained for these checks alone: many small ones."""
    image_size: Annotated[int, Field(ge=16, le=4096)] = 32
    """Side of the images that the small ones learn."""
    updates: Count = 10_000
    """Parameter updates of the small ones."""
    seeds: Annotated[int, Field(ge=2, le=12)] = 6
    """Trainings of each of the small ones, where two networks are compared over trainings."""
    n_generated: Many = 1000
    """Images that each of the small ones generates with each number of `steps`."""
    steps: Steps = (5, 10, 20, 50)
    """Sampling steps with which they do."""
    batch: Count = 64
    """Images per update of the small ones."""
    learning_rate: Positive = 5e-4
    """Adam's, of the small ones."""
