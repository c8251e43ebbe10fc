"""How much the blocks of a trained network stretch small changes of the states that they see.

The largest singular value of a block's Jacobian at a state is a lower bound on the block's global
Lipschitz constant, and what the block does to small changes there.

Notation: y state, f the field of an ODE block, L its local Lipschitz constant.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from bench.api import Cell, Context, Invalid, Kind, Outcome, Row, register
from bench.metrics.blocks import Block, Call, Seen, blocks, watched
from bench.metrics.lipschitz import Linearised, Stretch, largest_singular_value, lengths
from bench.parts import in_parts, joined
from bench.seeds import generator
from bench.shards import count_of, shardable
from bench.tasks.examined import TOGETHER, Examined
from bench.tasks.robustness import told

NETWORK = "network"
"""The name of a block that is the whole network."""


def _blocks(cell: Cell) -> int:
    return count_of(cell.spec["n"], min(TOGETHER, cell.spec["micro_batch"]))


@register(
    Kind.TASK,
    "lipschitz",
    source="section 2 of the paper (Continuous U-Net: bounded); Gronwall 1919; protocol, Theory",
)
@shardable(_blocks)
def lipschitz(cell: Cell, context: Context) -> Outcome:
    """Measure a network's blocks at one noise level, on the states of the first images.

    An ODE block also has the local Lipschitz constants of its field, at every state at which its
    solver evaluated it, and Gronwall's bound on the block: exp of the largest of these.
    """
    spec = cell.spec
    network = Examined.of(cell, context).first(spec["n"])
    backbone = network.diffusion.backbone
    found = blocks(backbone)
    names: list[str] = []

    def make(block: range) -> dict[str, Tensor]:
        with torch.inference_mode(False), torch.enable_grad():
            x_t = network.states(block)
            seen = watched(found, lambda: network.both(x_t))
            if not seen:  # hooks never saw them at work: functional, or with keywords alone
                seen = watched([Block("", backbone)], lambda: network.both(x_t))
            names[:] = [one.block.name or NETWORK for one in seen]
            values = [
                _measured(one, spec, place=(network.name, place, block.start))
                for place, one in enumerate(seen)
            ]
        # [B, blocks] each.
        return {name: _beside(values, name)[: len(block)] for name in values[0]}

    size = network.noised.micro_batch
    whole = joined(in_parts(context, make, count=network.count, size=size))
    if not names:  # all parts were kept from before: only the order of the blocks is missing
        make(range(1))
    by_name = {one.name or NETWORK: one for one in [*found, Block("", backbone)]}
    about = {"sigma": network.noised.level.sigma, "n": network.count, "blocks": len(names)}
    rows = []
    for place, name in enumerate(names):
        values = {key: value[:, place] for key, value in whole.items()}
        rows.append({**about, **_row(by_name[name], values, spec["tolerance"]), "place": place})
    return Outcome(rows)


def _beside(values: list[dict[str, Tensor]], name: str) -> Tensor:
    return torch.stack([one[name] for one in values], dim=1)


def _measured(one: Seen, spec: Mapping[str, Any], place: tuple) -> dict[str, Tensor]:
    """Return what a block does to changes of its state, [B] each; NaN for what it has not."""
    assert one.call is not None
    name = one.block.name or NETWORK
    stretch, out = _stretch(one.call, name, spec, place)
    state, result = lengths(one.call.state), lengths(out)
    none = torch.full_like(stretch.sigma, torch.nan)
    values = {
        "stretch": stretch.sigma,
        "gain": stretch.sigma * state / result,
        "residual": stretch.residual,
        "iterations": torch.full_like(stretch.sigma, stretch.iterations),
        "field": none,
        "field_residual": none,
        "evaluations": torch.full_like(stretch.sigma, len(one.field_calls)),
    }
    slopes = [
        _stretch(call, f"{name}, field", spec, (*place, number))[0]
        for number, call in enumerate(one.field_calls)
    ]
    if slopes:
        values["field"] = torch.stack([slope.sigma for slope in slopes]).amax(dim=0)
        values["field_residual"] = torch.stack([s.residual for s in slopes]).amax(dim=0)
    return values


def _stretch(
    call: Call, name: str, spec: Mapping[str, Any], place: tuple
) -> tuple[Stretch, Tensor]:
    """Return how far a call stretches changes of its state, and what it returned."""
    with sdpa_kernel(SDPBackend.MATH):
        near = Linearised(call, call.state, name)
    start = torch.randn(call.state.shape, generator=generator("lipschitz", spec["seed"], *place))
    stretch = largest_singular_value(
        near,
        start.to(call.state),
        tolerance=spec["tolerance"],
        iterations=spec["iterations"],
    )
    return stretch, near.y.detach()


def _row(block: Block, values: Mapping[str, Tensor], tolerance: float) -> Row:
    field, bounded = values["field"], bool(values["field"].isfinite().all())
    if not bool(values["stretch"].isfinite().all()):
        raise Invalid(f"the Jacobian of block '{block.name or NETWORK}' is not finite")
    return {
        "block": block.name or NETWORK,
        "type": block.type,
        "ode": block.field is not None,
        "stretch": float(values["stretch"].log().mean().exp()),
        "stretch_per_image": values["stretch"].tolist(),
        "gain_per_image": values["gain"].tolist(),
        "tolerance": tolerance,
        **told(values["residual"], values["iterations"], tolerance),
        "field": float(field.log().mean().exp()) if bounded else None,
        "field_per_image": field.tolist() if bounded else None,
        "field_residual": float(values["field_residual"].max()) if bounded else None,
        "evaluations": int(values["evaluations"].max()),
    }
