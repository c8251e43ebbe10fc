"""What one training update of each network costs: multiply-adds, counted, and seconds, in turns."""

import random
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from bench.api import Cell, Context, Invalid, Kind, Outcome, Row, register
from bench.batches import to_float
from bench.checkpoint import TrainingState
from bench.metrics.latency import Pace, compare_latency, stopwatch_for
from bench.registry import DIFFUSION
from bench.seeds import generator, seed_globals, seed_of
from bench.tasks.timing import conditions, named
from bench.training import TrainSettings

MOST_ROUNDS = 8
"""Times the rounds asked for, after which the comparison ends, settled or not."""


@register(Kind.TASK, "training_pace", source="protocol, Theory; Calvo-Ordonez et al. 2023, 4.2")
def training_pace(cell: Cell, context: Context) -> Outcome:
    """Count and time a training update of several networks, a row each.

    Multiply-adds are those that run, forwards and backwards, so an adjoint that solves its ODE
    anew is counted. Times are of whole updates, the networks taking turns in random order.
    """
    spec = dict(cell.spec)
    settings = TrainSettings(**spec["training"])
    dataset = context.build(Kind.DATASET)
    batch = to_float(dataset.images("train")[: settings.batch]).to(context.device)
    with conditions(spec, context) as about:
        updates = {
            f"{number} {network['name']}": Update(
                _built(network, cell, context, dataset), batch, settings
            )
            for number, network in enumerate(spec["backbone"])
        }
        counts = [counted(one.gradients) for one in updates.values()]
        forward = [counted(one.loss) for one in updates.values()]
        compared = compare_latency(
            {name: one.take for name, one in updates.items()},
            Pace(spec["repeats"], spec["warmup"], MOST_ROUNDS * spec["repeats"], spec["most_s"]),
            rng=random.Random(seed_of("training-pace", list(updates))),
            stopwatch=stopwatch_for(context.device),
        )
    rows: list[Row] = []
    for number, name in enumerate(updates):
        timing, ratio = compared.timings[name], compared.ratios.get(name)
        rows.append(
            {
                **named(spec["backbone"][number]),
                "batch": settings.batch,
                "macs_forward": forward[number],
                "macs_update": counts[number],
                "update_s": timing.median_s,
                "update_q1_s": timing.q1_s,
                "update_q3_s": timing.q3_s,
                "time_ratio": ratio.value if ratio else 1.0,
                "time_ratio_low": ratio.low if ratio else 1.0,
                "time_ratio_high": ratio.high if ratio else 1.0,
                "rounds": compared.rounds,
                **about,
            }
        )
    return Outcome(rows)


def _built(network: Row, cell: Cell, context: Context, dataset: Any) -> nn.Module:
    """Return a diffusion network with the weights that every training of that seed begins with."""
    about = {
        **network,
        "name": f"{DIFFUSION}{network['name']}",
        "recipe": cell.spec["recipe"]["name"],
        "channels": dataset.channels,
        "image_size": dataset.image_size,
    }
    seed_globals("initial", cell.spec["seed"])
    module: nn.Module = context.build(Kind.DENOISER, about)
    return module.to(context.device)


class Update:
    """A training update of one network, to be taken again and again on the same images."""

    def __init__(self, module: nn.Module, batch: Tensor, settings: TrainSettings):
        betas = settings.beta1, settings.beta2
        self.state = TrainingState.of(
            module.train(), learning_rate=settings.learning_rate, betas=betas
        )
        self.batch, self.settings = batch, settings

    def loss(self) -> Tensor:
        """Return the loss of the batch."""
        return self.state.module.loss(self.batch, generator("training-pace"))

    def gradients(self) -> None:
        """Do what costs multiply-adds: the loss, and its gradients."""
        self.state.optimiser.zero_grad(set_to_none=True)
        self.loss().backward()

    def take(self) -> None:
        """Do all of an update, as the training loop does in float32."""
        self.gradients()
        torch.nn.utils.clip_grad_norm_(self.state.trained.values(), self.settings.clip)
        self.state.optimiser.step()
        self.state.follow(self.settings.ema)


def counted(work: Callable[[], object]) -> int:
    """Return the multiply-adds that some work runs, by torch's dispatch-level counter.

    Attention runs as matrix products meanwhile, because fused kernels are invisible to it.

    Raises:
        Invalid: If there are none.
    """
    counter = FlopCounterMode(display=False)
    with sdpa_kernel(SDPBackend.MATH), counter:
        work()
    flops = counter.get_total_flops()
    if flops < 2:
        raise Invalid("a training update without multiply-adds, expected a network with layers")
    return flops // 2
