"""What happens inside an ODE block: right-hand sides f(s, y, e) and the block that solves them.

Notation: y state, s the solver's time in [0, 1], e embedding of the diffusion step.
"""

import torch
from torch import Tensor, nn

from bench.api import Solution
from models.blocks import Activation, FiLM, group_norm
from models.solve import Integrator


class SecondOrder(nn.Module):
    """A second-order ODE z'' = f(z, z', e), as the first-order pair y = [z | v].

        dz/ds = v
        dv/ds = conv1x1 C->C/2 (y + h)
        h = act(conv3x3 C->C (FiLM_e (GN (act(conv3x3 C->C (GN(y)))))))

    Source: equations (3) and (4) and section 3.1 of the paper.
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

    def acceleration(self, y: Tensor, e: Tensor) -> Tensor:
        """Return dv/ds [B, C/2, H, W]."""
        h = self.act(self.conv1(self.norm1(y)))
        h = self.act(self.conv2(self.film(self.norm2(h), e)))
        return self.out(y + h if self.skip else h)

    def forward(self, s: float | Tensor, y: Tensor, e: Tensor) -> Tensor:
        """Return dy/ds [B,C,H,W] = [v | dv/ds]."""
        v = y.chunk(2, dim=1)[1]
        return torch.cat([v, self.acceleration(y, e)], dim=1)


class PlainSecondOrder(nn.Module):
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

    def forward(self, s: float | Tensor, y: Tensor, e: Tensor) -> Tensor:
        """Return dy/ds [B,C,H,W] = [v | dv/ds]."""
        h = self.act(self.conv1(self.norm1(y)))
        h = self.act(self.conv2(self.norm2(h)))
        return torch.cat([y.chunk(2, dim=1)[1], self.out(h)], dim=1)


class ODEBlock(nn.Module):
    """Carries a state from s = 0 to s = 1 along its field.

    Source: Chen et al. 2018, "Neural Ordinary Differential Equations"; Figure 2 of the paper.
    """

    def __init__(self, dynamics: nn.Module) -> None:
        super().__init__()
        self.dynamics = dynamics

    def forward(self, y: Tensor, e: Tensor, integrator: Integrator) -> Solution:
        """Return the state at s = 1 and the number of evaluations."""
        # e is constant during the solve, so it is bound here; the adjoint method differentiates
        # only what it is told about, hence the list.
        return integrator(
            lambda s, state: self.dynamics(s, state, e),
            y,
            parameters=(e, *self.dynamics.parameters()),
        )
