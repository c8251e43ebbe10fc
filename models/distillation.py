"""Progressive distillation: a network that does in one step what its teacher does in two.

Source: Salimans and Ho 2022, algorithm 2.
"""

import torch
from torch import Tensor, nn

from bench.api import BenchError, Kind, register
from models import process
from models.denoise import DiffusionDenoiser
from models.diffusion import Diffusion
from models.samplers.grid import respaced


@register(Kind.DISTILLATION, "progressive", source="Salimans and Ho 2022, algorithm 2")
class Distillation(nn.Module):
    """Trains a student of n DDIM steps to land where its teacher lands in 2n.

    The student is all that is trained, averaged and saved: the teacher is no part of this module's
    tree, so neither its state dict nor `train()` nor `to()` reaches it. Where the teacher's sampler
    holds x0 within [-1, 1] (`clip`), its two steps here do; the target is a weighted mean of their
    two x0 and then lies there, too. The student's own x0 is compared before it is held: a clamp
    has no gradient.
    """

    def __init__(
        self, teacher: DiffusionDenoiser, student: DiffusionDenoiser, *, steps: int
    ) -> None:
        """Start the student with the teacher's weights.

        Args:
            teacher: A trained network, already on its device; is set to evaluation.
            student: A network like it.
            steps: The student's; the teacher makes twice as many, on the uniform grid.

        Raises:
            BenchError: If the teacher predicts noise, the two differ in recipe or shape, or the
                grid has not so many levels.
        """
        super().__init__()
        _check(teacher, student)
        # In a tuple: a module that is an attribute would be trained and saved, too.
        self._teacher = (teacher.eval().requires_grad_(False),)
        self.student = student
        try:
            student.load_state_dict(teacher.state_dict())
        except RuntimeError:
            raise BenchError(
                "the student's network differs from its teacher's; expected the same backbone, "
                "channels, image size and scale"
            ) from None
        self.steps = steps
        levels = torch.tensor(respaced(teacher.diffusion.schedule.steps, 2 * steps))
        # Three neighbours each: the student goes from the first to the last.
        self._levels = levels.double().unfold(0, 3, 2)
        self._shares = torch.from_numpy(teacher.diffusion.schedule.alpha_bar(self._levels.numpy()))

    @property
    def teacher(self) -> DiffusionDenoiser:
        """The network that is imitated."""
        return self._teacher[0]

    def loss(self, batch: Tensor, rng: torch.Generator) -> Tensor:
        """Return the student's weighted mean squared error of x0.

        Source: Salimans and Ho 2022, equation 9: the weight is max(snr, 1), "truncated SNR".

        Args:
            batch: Clean images [B,C,H,W] in [0, 1].
            rng: Draws the student's steps, uniformly, and the noise.
        """
        x0 = process.to_state(batch)
        step = torch.randint(self.steps, batch.shape[:1], generator=rng, device=rng.device).cpu()
        eps = torch.randn(batch.shape, generator=rng, device=rng.device).to(x0)
        left = self._shares[step, 0]
        x_t = process.q_sample(x0, eps, _spread(left, x0))
        predicted = self._x0(self.student.diffusion, x_t, step, at=0)
        error = (predicted - self.target(x_t, step)).square().flatten(1).mean(dim=1)
        return (error * (left / (1 - left)).clamp(min=1).to(error)).mean()

    @torch.no_grad()
    def target(self, x_t: Tensor, step: Tensor) -> Tensor:
        """Return the x0 with which one DDIM step lands where two of the teacher's do.

        Differs: algorithm 2 divides differences of states; written out they are a mean of the
        teacher's two x0, with a weight that is also good at level 0.

        Args:
            x_t: States [B,C,H,W] at the levels where the student's steps begin.
            step: Which of the student's steps [B], 0 for the one that begins with pure noise.
        """
        teacher, clip = self.teacher.diffusion, self.teacher.clip
        first = _held(self._x0(teacher, x_t, step, at=0), clip)
        start, middle = (_spread(self._shares[step, at], x_t) for at in (0, 1))
        eps = process.eps_from_x0(x_t, first, start)
        second = _held(self._x0(teacher, process.q_sample(first, eps, middle), step, at=1), clip)
        # rho = sqrt(snr) rises along the way, to infinity at level 0.
        rho = (self._shares[step] / (1 - self._shares[step])).sqrt()
        share = 1 - (rho[:, 1] - rho[:, 0]) / (rho[:, 2] - rho[:, 0])
        return torch.lerp(first, second, _spread(share, x_t))

    def _x0(self, diffusion: Diffusion, x: Tensor, step: Tensor, *, at: int) -> Tensor:
        """Return the predicted clean images of states of different levels; not held."""
        levels, shares = self._levels[step, at], self._shares[step, at]
        out = diffusion.backbone(x, (levels - 1).to(x)).to(x)  # it may have come in bfloat16
        if diffusion.recipe.prediction == "v":
            return process.x0_from_v(x, out, _spread(shares, x))
        return out


def _check(teacher: DiffusionDenoiser, student: DiffusionDenoiser) -> None:
    if not isinstance(teacher, DiffusionDenoiser):
        raise BenchError(
            f"distillation: {type(teacher).__name__} is no diffusion model; expected "
            "diffusion:<backbone>"
        )
    if teacher.recipe.prediction == "noise":
        raise BenchError(
            "distillation: the teacher predicts noise, which does not tell x0 where all is noise; "
            "train it with recipe authors, or with +prediction=v or +prediction=x0"
        )
    if student.recipe != teacher.recipe:
        raise BenchError(
            f"distillation: the student's recipe is {student.recipe}, expected its teacher's, "
            f"{teacher.recipe}"
        )


def _held(x0: Tensor, clip: bool) -> Tensor:
    return x0.clamp(-1, 1) if clip else x0


def _spread(values: Tensor, like: Tensor) -> Tensor:
    """Return values [B] so that they multiply images [B,C,H,W]."""
    return values.to(like)[:, None, None, None]
