"""What happens inside an ODE block: right-hand sides f(s, y, e) and the block that solves them.

Notation: y state, s the solver's time in [0, 1], e embedding of the diffusion step.
"""

import torch
from torch import Tensor, nn

from bench.api import Solution
from models.blocks import Activation, FiLM, group_norm, modulated_norm, overwrite
from models.halved import solve_halved
from models.solve import Integrator


class SecondOrderField(nn.Module):
    """A second-order ODE z'' = a(z, z', e), as the first-order pair y = [z | v].

        dz/ds = v
        dv/ds = a(y, e)

    Source: equations (3) and (4) of the paper.
    """

    def condition(self, e: Tensor) -> tuple[Tensor, ...]:
        """Return what of e the field needs: the same in every evaluation of a solve."""
        return ()

    def acceleration(self, s: float | Tensor, y: Tensor, *conditions: Tensor) -> Tensor:
        """Return dv/ds [B, C/2, H, W] of a state y [B,C,H,W]."""
        raise NotImplementedError

    def forward(
        self,
        s: float | Tensor,
        y: Tensor,
        e: Tensor | tuple[Tensor, ...],
        *,
        alone: bool = False,
    ) -> Tensor:
        """Return dy/ds [B,C,H,W] = [v | dv/ds].

        Args:
            s: Time.
            y: State [z | v].
            e: Embedding [B, D], or what `condition` returned for it.
            alone: Whether to return dv/ds alone: who has y has v.
        """
        conditions = e if isinstance(e, tuple) else self.condition(e)
        a = self.acceleration(s, y, *conditions)
        return a if alone else torch.cat([y.chunk(2, dim=1)[1], a], dim=1)


class SecondOrder(SecondOrderField):
    """The field of the paper, with its residual and its time.

        dv/ds = conv1x1 C->C/2 (y + h)
        h = act(conv3x3 C->C (FiLM_e (GN (act(conv3x3 C->C (GN(y)))))))

    Source: section 3.1 of the paper.
    Differs: the paper does not say how f returns to the width of v; a 1x1 convolution does it
    here. f does not depend on s.
    """

    def __init__(self, width: int, embed: int, act: Activation, *, skip: bool = True) -> None:
        """Build it.

        Args:
            width: Channels C of the whole state y; even.
            embed: Width of e.
            act: The nonlinearity.
            skip: Whether "y +" stands in dv/ds.
        """
        super().__init__()
        self.act = act
        self.skip = skip
        self.norm1 = group_norm(width)
        self.conv1 = nn.Conv2d(width, width, 3, padding=1)
        self.norm2 = group_norm(width)
        self.film = FiLM(embed, width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1)
        self.out = nn.Conv2d(width, width // 2, 1)

    def condition(self, e: Tensor) -> tuple[Tensor, ...]:
        """Return gain and offset of the second normalisation, [B, C] each."""
        return self.film(self.norm2, e)

    def acceleration(self, s: float | Tensor, y: Tensor, *conditions: Tensor) -> Tensor:
        """Return dv/ds [B, C/2, H, W]."""
        h = overwrite(self.act, self.conv1(self.norm1(y)))
        h = overwrite(self.act, self.conv2(modulated_norm(self.norm2, h, *conditions)))
        return self.out(y + h if self.skip else h)


class PlainSecondOrder(SecondOrderField):
    """The second-order field without residual and without time: the "no resblocks" ablation.

        dv/ds = conv1x1 C->C/2 (act(conv1x1 C->C (GN(act(conv3x3 C->C (GN(y)))))))

    Source: Table 5, rows "wo/R": the released ablation also shrinks the second convolution and
    moves time out of the field, so it changes three things at once.
    """

    def __init__(self, width: int, act: Activation) -> None:
        super().__init__()
        self.act = act
        self.norm1 = group_norm(width)
        self.conv1 = nn.Conv2d(width, width, 3, padding=1)
        self.norm2 = group_norm(width)
        self.conv2 = nn.Conv2d(width, width, 1)
        self.out = nn.Conv2d(width, width // 2, 1)

    def acceleration(self, s: float | Tensor, y: Tensor, *conditions: Tensor) -> Tensor:
        """Return dv/ds [B, C/2, H, W]."""
        h = overwrite(self.act, self.conv1(self.norm1(y)))
        return self.out(overwrite(self.act, self.conv2(self.norm2(h))))


class ODEBlock(nn.Module):
    """Carries a state from s = 0 to s = 1 along its field.

    Source: Chen et al. 2018, "Neural Ordinary Differential Equations"; Figure 2 of the paper.
    """

    def __init__(self, dynamics: nn.Module, place: str = "") -> None:
        """Build it.

        Args:
            dynamics: The field f(s, y, e).
            place: What it is called in errors: its number and size.
        """
        super().__init__()
        self.dynamics = dynamics
        self.place = place

    def forward(self, y: Tensor, e: Tensor, integrator: Integrator) -> Solution:
        """Return the state at s = 1 and the number of evaluations."""
        # What depends on e is the same during the whole solve, so it is computed here. The adjoint
        # method differentiates only what it is told about, hence the list of parameters.
        field = self.dynamics
        if not isinstance(field, SecondOrderField):
            parameters = (e, *field.parameters())
            return integrator(
                lambda s, y: field(s, y, e), y, parameters=parameters, place=self.place
            )
        given = field.condition(e)
        if not (integrator.foreign or integrator.watched or torch.is_grad_enabled()):
            scheme, steps = integrator.scheme, integrator.steps
            y = solve_halved(scheme, steps, lambda s, y: field(s, y, given, alone=True), y)
            return Solution(y, steps * len(scheme.nodes))
        parameters = (*given, *field.parameters())
        return integrator(
            lambda s, y: field(s, y, given), y, parameters=parameters, place=self.place
        )
