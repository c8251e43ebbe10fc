"""Distillation: the target against DDIM itself, the weight, students that learn."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from bench.api import BenchError
from bench.registry import build
from models.denoise import DiffusionDenoiser
from models.diffusion import Recipe
from models.distillation import Distillation
from models.process import to_state
from models.samplers.ddim import ddim
from models.samplers.grid import respaced
from models.schedule import schedule

MEAN, STD = 0.2, 0.4
X0, V = Recipe("x0", "sigmoid"), Recipe("v", "sigmoid")


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=rng(seed), dtype=torch.float64)


class Affine(nn.Module):
    """What is predicted is gain[t] x_t + bias[t]: exact for x0 ~ N(MEAN, STD^2), to begin with."""

    def __init__(self, recipe: Recipe) -> None:
        super().__init__()
        left = torch.tensor(schedule(recipe.schedule).alpha_bars[1:])
        spread = left * STD**2 + 1 - left
        gain, bias = left.sqrt() * STD**2 / spread, (1 - left) / spread * MEAN
        if recipe.prediction == "v":
            # v = (sqrt(alpha_bar) x_t - x0) / sqrt(1 - alpha_bar)
            gain, bias = ((left.sqrt() - gain) / (1 - left).sqrt(), -bias / (1 - left).sqrt())
        self.gain, self.bias = nn.Parameter(gain), nn.Parameter(bias)

    def forward(self, x_t: Tensor, step: Tensor) -> Tensor:
        at = step.long()
        return self.gain[at, None, None, None] * x_t + self.bias[at, None, None, None]


def pair(recipe: Recipe, *, steps: int, clip: bool = False) -> Distillation:
    teacher, student = (DiffusionDenoiser(Affine(recipe), recipe, clip=clip) for _ in range(2))
    return Distillation(teacher, student, steps=steps)


def landing(denoiser: DiffusionDenoiser, x: Tensor, grid: list[float], clip: bool) -> Tensor:
    *_, final = ddim(denoiser.diffusion, x, grid, torch.zeros_like, clip=clip)
    return math.sqrt(float(denoiser.diffusion.schedule.alpha_bar(grid[-1]))) * to_state(
        final.current
    )


# ------------------------------------------------------------------ the target


@given(count=st.integers(1, 500))
def test_the_students_levels_are_every_second_of_its_teachers(count: int) -> None:
    assert respaced(1000, 2 * count)[::2] == respaced(1000, count)


@pytest.mark.parametrize("clip", [False, True])
@pytest.mark.parametrize("steps", [1, 2, 7, 500])
@pytest.mark.parametrize("recipe", [X0, V], ids=["x0", "v"])
def test_one_step_to_the_target_lands_where_two_of_the_teacher_land(
    recipe: Recipe, steps: int, clip: bool
) -> None:
    both, grid = pair(recipe, steps=steps, clip=clip), respaced(1000, 2 * steps)
    for i in sorted({0, steps // 2, steps - 1}):
        x = 3 * normal(5, 1, 2, 2)
        target = both.target(x, torch.full((5,), i))
        t, _, s = grid[2 * i : 2 * i + 3]
        left_t, left_s = (float(schedule("sigmoid").alpha_bar(level)) for level in (t, s))
        eps = (x - math.sqrt(left_t) * target) / math.sqrt(1 - left_t)
        found = math.sqrt(left_s) * target + math.sqrt(1 - left_s) * eps
        wanted = landing(both.teacher, x, grid[2 * i : 2 * i + 3], clip)
        torch.testing.assert_close(found, wanted, atol=1e-10, rtol=0)
        assert not clip or float(target.abs().max()) <= 1


def test_an_images_target_does_not_depend_on_the_other_levels() -> None:
    both, x = pair(V, steps=4), normal(4, 1, 2, 2)
    order = torch.tensor([3, 0, 2, 1])
    mixed = both.target(x, order)
    for i, step in enumerate(order):
        torch.testing.assert_close(mixed[i : i + 1], both.target(x[i : i + 1], step[None]))


# ------------------------------------------------------------------ the loss


@pytest.mark.parametrize("recipe", [X0, V], ids=["x0", "v"])
def test_the_weight_is_the_truncated_snr(recipe: Recipe) -> None:
    # A teacher that always sees the same image has that image for its target. A student that is
    # off by 0.1 has the error 0.01, whatever its level, and its loss tells the weight.
    both = pair(recipe, steps=5)
    left = torch.tensor(schedule("sigmoid").alpha_bars[1:])
    weights = [max(float(schedule("sigmoid").snr(t)), 1.0) for t in respaced(1000, 5)[:-1]]
    for denoiser, image in ((both.teacher, 0.3), (both.student, 0.4)):
        network = denoiser.diffusion.backbone
        with torch.no_grad():
            if recipe is X0:
                network.gain.zero_()
                network.bias.fill_(image)
            else:
                network.gain.copy_((left / (1 - left)).sqrt())
                network.bias.copy_(-image / (1 - left).sqrt())
    batch = torch.rand(3000, 1, 1, 1, generator=rng(1), dtype=torch.float64)
    drawn = torch.randint(5, (3000,), generator=rng(2))
    expected = 0.01 * torch.tensor(weights)[drawn].mean()
    assert float(both.loss(batch, rng(2)).detach()) == pytest.approx(float(expected), rel=1e-6)
    assert len(set(weights)) > 2 and min(weights) == 1, "both sides of the maximum are tried"


def test_an_exact_student_of_many_steps_has_next_to_nothing_to_learn() -> None:
    # Two steps and one differ by the error of DDIM, which falls with the step.
    batch = (MEAN + 1) / 2 + STD / 2 * normal(256, 1, 2, 2)
    losses = [float(pair(X0, steps=n).loss(batch, rng()).detach()) for n in (2, 20, 200)]
    assert losses[0] > 10 * losses[1] > 100 * losses[2] > 0


def test_an_affine_student_learns_to_land_there() -> None:
    both = pair(V, steps=3)
    x, grid = normal(64, 1, 2, 2, seed=3), respaced(1000, 6)
    wanted = landing(both.teacher, x, grid, clip=False)
    before = landing(both.student, x, grid[::2], clip=False)
    optimiser = torch.optim.Adam(both.parameters(), lr=3e-2)
    batch = (MEAN + 1) / 2 + STD / 2 * normal(512, 1, 2, 2, seed=4)
    for update in range(300):
        for group in optimiser.param_groups:
            group["lr"] = 3e-2 * (1 - update / 300)
        optimiser.zero_grad()
        both.loss(batch, rng(update)).backward()
        optimiser.step()
    after = landing(both.student, x, grid[::2], clip=False)
    assert float((before - wanted).abs().max()) > 0.05
    torch.testing.assert_close(after, wanted, atol=2e-3, rtol=0)


class Convolutions(nn.Module):
    """Three convolutions, told the step by a shift of each feature."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, 24, 3, padding=1)
        self.told = nn.Sequential(nn.Linear(1, 24), nn.SiLU(), nn.Linear(24, 24))
        self.rest = nn.Sequential(
            nn.SiLU(), nn.Conv2d(24, 24, 3, padding=1), nn.SiLU(), nn.Conv2d(24, 1, 3, padding=1)
        )

    def forward(self, x_t: Tensor, step: Tensor) -> Tensor:
        shift = self.told(step[:, None] / 500 - 1)[:, :, None, None]
        return self.rest(self.first(x_t) + shift)


def train(module: nn.Module, clean: Tensor, updates: int, rate: float) -> None:
    optimiser = torch.optim.Adam(module.parameters(), lr=rate)
    for update in range(updates):
        for group in optimiser.param_groups:
            group["lr"] = rate * (1 - update / updates)
        chosen = torch.randint(len(clean), (32,), generator=rng(update))
        optimiser.zero_grad()
        module.loss(clean[chosen], rng(update)).backward()
        optimiser.step()


@pytest.mark.slow
def test_a_convolutional_student_comes_near_its_teacher() -> None:
    images = build("dataset", "digits", image_size=8).images("train")
    clean = torch.from_numpy(images.copy()).float() / 255
    torch.manual_seed(0)
    teacher, student = (DiffusionDenoiser(Convolutions()) for _ in range(2))
    train(teacher, clean, 250, 1e-2)
    both = Distillation(teacher, student, steps=2)
    x = torch.randn(64, 1, 8, 8, generator=rng(9))

    def off() -> float:
        wanted = landing(teacher, x, respaced(1000, 4), clip=True)
        return float((landing(student, x, respaced(1000, 2), clip=True) - wanted).square().mean())

    before = off()
    train(both, clean, 150, 3e-3)
    assert off() < before / 3


# ------------------------------------------------------------------ the module


def test_only_the_student_is_trained_and_saved() -> None:
    both = pair(V, steps=4)
    names = {f"student.diffusion.backbone.{name}" for name in ("gain", "bias")}
    assert set(both.state_dict()) == {name for name, _ in both.named_parameters()} == names
    assert set(both.student.state_dict()) == set(both.teacher.state_dict())
    both.train()
    assert both.student.training and not both.teacher.training
    both.loss(torch.rand(4, 1, 2, 2, dtype=torch.float64), rng()).backward()
    network = both.student.diffusion.backbone
    # Of the levels, those at which its steps begin.
    assert set(network.gain.grad.nonzero().flatten().tolist()) <= {999, 749, 499, 249}
    for parameter in both.teacher.parameters():
        assert parameter.grad is None and not parameter.requires_grad


def test_the_student_begins_as_its_teacher() -> None:
    teacher, student = (DiffusionDenoiser(nn.Conv2d(1, 1, 1), V) for _ in range(2))
    assert not torch.equal(teacher.diffusion.backbone.weight, student.diffusion.backbone.weight)
    Distillation(teacher, student, steps=4)
    for name, value in student.state_dict().items():
        assert torch.equal(value, teacher.state_dict()[name])
    with torch.no_grad():
        student.diffusion.backbone.weight.add_(1)
    assert not torch.equal(teacher.diffusion.backbone.weight, student.diffusion.backbone.weight)


def test_the_loss_depends_on_the_generator_alone() -> None:
    both, batch = pair(V, steps=4), torch.rand(8, 1, 2, 2, generator=rng(1), dtype=torch.float64)
    assert torch.equal(both.loss(batch, rng(5)), both.loss(batch, rng(5)))
    assert not torch.equal(both.loss(batch, rng(5)), both.loss(batch, rng(6)))


@pytest.mark.parametrize("recipe", [X0, V], ids=["x0", "v"])
def test_half_precision_changes_the_loss_a_little(recipe: Recipe) -> None:
    torch.manual_seed(0)
    teacher, student = (DiffusionDenoiser(Convolutions(), recipe) for _ in range(2))
    both, batch = Distillation(teacher, student, steps=4), torch.rand(8, 1, 8, 8, generator=rng())
    whole = both.loss(batch, rng(1))
    with torch.autocast("cpu", torch.bfloat16):
        half = both.loss(batch, rng(1))
    half.backward()
    assert half.dtype == torch.float32
    torch.testing.assert_close(half, whole, rtol=0.05, atol=1e-3)
    assert not torch.equal(half, whole)
    assert all(bool(p.grad.isfinite().all()) for p in both.parameters())


def test_what_cannot_be_distilled_is_one_clear_line() -> None:
    def of(recipe: Recipe, network: nn.Module | None = None) -> DiffusionDenoiser:
        return DiffusionDenoiser(network or nn.Conv2d(1, 1, 1), recipe)

    with pytest.raises(BenchError, match="Conv2d is no diffusion model; expected diffusion:"):
        Distillation(nn.Conv2d(1, 1, 1), of(V), steps=4)
    noise = Recipe("noise", "linear")
    with pytest.raises(BenchError, match=r"predicts noise.* recipe authors, or with .prediction=v"):
        Distillation(of(noise), of(noise), steps=4)
    with pytest.raises(BenchError, match=r"the student's recipe is .* expected its teacher's"):
        Distillation(of(V), of(X0), steps=4)
    with pytest.raises(BenchError, match=r"the student's network differs .* the same backbone"):
        Distillation(of(V), of(V, nn.Conv2d(1, 1, 3)), steps=4)
    with pytest.raises(BenchError, match=r"1002 sampling steps .* expected 1 to 1000"):
        Distillation(of(V), of(V), steps=501)
    with pytest.raises(BenchError, match="0 sampling steps"):
        Distillation(of(V), of(V), steps=0)
