"""What solvers and samplers cost by themselves, beside a field and a network that cost nothing."""

import torch

from asv_bench.setting import Brief, fixed, operators
from bench.registry import find, names

STEPS = 4
READY = [name for name in names("sampler") if not hasattr(find("sampler", name).build, "estimate")]
"""Those that need no estimate, made from images, first."""
LEVELS = [1000.0, 750.0, 500.0, 250.0, 0.0]


class Solvers(Brief):
    """Four steps of dy/ds = -y; an adaptive solver chooses its own."""

    params = names("solver")
    param_names = ("solver",)

    def setup(self, solver):
        from models.solve import Integrator

        fixed()
        self.integrator = Integrator(solver, STEPS)
        self.y = torch.randn(4, 16, 16, 16)

    def time_solve(self, solver):
        with torch.inference_mode():
            return self.integrator(lambda s, y: y.neg(), self.y)

    def track_evaluations(self, solver):
        return self.time_solve(solver).nfe

    def track_operators(self, solver):
        return operators(lambda: self.time_solve(solver))

    track_evaluations.unit = "field evaluations"
    track_operators.unit = "operators"


class Samplers(Brief):
    """Four steps from noise to images, 16x3x32x32."""

    params = READY
    param_names = ("sampler",)

    def setup(self, sampler):
        from models.diffusion import Diffusion

        fixed()
        self.sampler = find("sampler", sampler).build
        self.network = Counting()
        self.model = Diffusion(self.network)
        self.x = torch.randn(16, 3, 32, 32)

    def time_sample(self, sampler):
        with torch.inference_mode():
            for _ in self.sampler(self.model, self.x, LEVELS, torch.randn_like):
                pass

    def track_calls(self, sampler):
        self.time_sample(sampler)
        return self.network.calls

    def track_operators(self, sampler):
        return operators(lambda: self.time_sample(sampler))

    track_calls.unit = "network calls"
    track_operators.unit = "operators"


class Counting(torch.nn.Module):
    """Predicts its input, and counts how often it was asked."""

    calls = 0

    def forward(self, x_t, step):
        self.calls += 1
        return x_t
