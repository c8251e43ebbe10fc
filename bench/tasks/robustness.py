"""How much a trained network's output changes when its input is perturbed.

Notation: x_t the network's input, d a perturbation of relative size |d| / |x_t|; the relative
change is |f(x_t + d) - f(x_t)| / |f(x_t)|, for each image.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from bench.api import Cell, Context, Invalid, Kind, Outcome, Row, register
from bench.metrics.lipschitz import Stretch, largest_singular_value, lengths
from bench.parts import in_parts, joined
from bench.statistics import bootstrap_mean
from bench.tasks.examined import MAPS, OUTPUT, Examined, moved

SIZES = (1e-3, 1e-2, 1e-1, 1.0)
"""Of perturbations, relative to the input."""
FACTORS = (10.0, 100.0, 1000.0)
"""By which the whole input is multiplied, to see whether the output is bounded."""
TRIED, AGREES = 1e-4, 0.2
"""A step of this size along v must change the output by sigma times it, within this share."""
RANDOM, WORST = "random", "worst"


@register(
    Kind.TASK,
    "robustness",
    source="section 2 of the paper (Continuous U-Net: noise-robust, bounded); protocol, Theory",
)
def robustness(cell: Cell, context: Context) -> Outcome:
    """Measure the change of a network's output, and of its clean image, at one noise level.

    Along random directions on all images, and on the first `n_jacobian` along the one that is
    worst for a small perturbation: the first right singular vector of the Jacobian.
    """
    spec = cell.spec
    network = Examined.of(cell, context)
    fewer = network.first(spec["n_jacobian"])

    def randomly(block: range) -> dict[str, Tensor]:
        with torch.inference_mode(False), torch.no_grad():
            return _cut(_along_random(network, block), block)

    def worst(block: range) -> dict[str, Tensor]:
        with torch.inference_mode(False):
            found = _along_worst(fewer, block, spec["tolerance"], spec["iterations"])
            with torch.no_grad():
                found |= _grown(fewer, block)
        return _cut(found, block)

    size = spec["micro_batch"]
    found = joined(in_parts(context, randomly, count=network.count, size=size, name=RANDOM))
    size = fewer.noised.micro_batch
    found |= joined(in_parts(context, worst, count=fewer.count, size=size, name=WORST))
    for of in MAPS:
        _refuse_false_derivative(network.name, of, found[f"agreement/{of}"])
    about = {"sigma": network.noised.level.sigma, "channels": network.noised.clean.shape[1]}
    return Outcome([{**about, **row} for row in _rows(found, spec["seed"], spec["tolerance"])])


def _cut(found: Mapping[str, Tensor], block: range) -> dict[str, Tensor]:
    """Return values without those of the padding."""
    return {name: value[: len(block)] for name, value in found.items()}


def _along_random(network: Examined, block: range) -> dict[str, Tensor]:
    x_t = network.states(block)
    plain = network.outputs(x_t)
    direction = network.directions(block, "perturbation")
    found = {}
    for size in SIZES:
        changed = network.outputs(moved(x_t, direction, size))
        for of in MAPS:
            found[f"{RANDOM}/{of}/{size:g}"] = _change(changed[of], plain[of])
    return found


def _grown(network: Examined, block: range) -> dict[str, Tensor]:
    """Return how many times longer the output gets when the input does."""
    x_t = network.states(block)
    plain = lengths(network.outputs(x_t)[OUTPUT])
    return {
        f"grown/{factor:g}": lengths(network.outputs(factor * x_t)[OUTPUT]) / plain
        for factor in FACTORS
    }


def _change(changed: Tensor, plain: Tensor) -> Tensor:
    return lengths(changed.double() - plain.double()) / lengths(plain)


def _along_worst(
    network: Examined, block: range, tolerance: float, iterations: int
) -> dict[str, Tensor]:
    x_t, start = network.states(block), network.directions(block, "first direction")
    found: dict[str, Tensor] = {}
    for of in MAPS:
        near = network.near(x_t, of)
        stretch = largest_singular_value(near, start, tolerance=tolerance, iterations=iterations)
        plain = near.y.detach()
        found |= {
            f"stretch/{of}": stretch.sigma,
            f"residual/{of}": stretch.residual,
            f"iterations/{of}": torch.full_like(stretch.sigma, stretch.iterations),
            f"gain/{of}": stretch.sigma * lengths(x_t) / lengths(plain),
        }
        del near
        found |= _moved_along(network, x_t, of, stretch)
    return found


@torch.no_grad()
def _moved_along(network: Examined, x_t: Tensor, of: str, stretch: Stretch) -> dict[str, Tensor]:
    """Return the larger of the changes to both sides, at every size."""
    plain = network.outputs(x_t)[of]
    found = {}
    for size in (TRIED, *SIZES):
        both = [
            _change(network.outputs(moved(x_t, side * stretch.direction, size))[of], plain)
            for side in (1, -1)
        ]
        found[size] = torch.maximum(*both)
    linear = TRIED * stretch.sigma * lengths(x_t) / lengths(plain)
    changes = {f"{WORST}/{of}/{size:g}": found[size] for size in SIZES}
    return changes | {f"agreement/{of}": found[TRIED] / linear}


def _refuse_false_derivative(name: str, of: str, agreement: Tensor) -> None:
    """Refuse a network whose derivative is not that of its output: a part of it is cut off.

    Raises:
        Invalid: If a small step changes the output by something else than the derivative says, in
            the median over images (single ones may lie at a kink).
    """
    middle = float(agreement.median())
    if not abs(middle - 1) <= AGREES:
        raise Invalid(
            f"the derivative of '{name}' is not that of its output: a step of {TRIED:g} along its "
            f"worst direction changes the {of} by {middle:.3g} times what the derivative says "
            "(a part under torch.no_grad() or .detach()?)"
        )


def _rows(found: Mapping[str, Tensor], seed: int, tolerance: float) -> list[Row]:
    rows: list[Row] = []
    for direction in (RANDOM, WORST):
        for of in MAPS:
            for size in SIZES:
                values = found[f"{direction}/{of}/{size:g}"]
                about = {"part": "change", "direction": direction, "of": of, "size": size}
                rows.append(about | _mean("change", values, seed))
    for of in MAPS:
        about = {"part": "stretch", "direction": WORST, "of": of, "tolerance": tolerance}
        row = about | _mean("stretch", found[f"stretch/{of}"], seed)
        row["gain_per_image"] = found[f"gain/{of}"].tolist()
        rows.append(row | told(found[f"residual/{of}"], found[f"iterations/{of}"], tolerance))
    for factor in FACTORS:
        about = {"part": "grown", "of": OUTPUT, "factor": factor}
        rows.append(about | _mean("growth", found[f"grown/{factor:g}"], seed))
    return rows


def told(residual: Tensor, iterations: Tensor, tolerance: float) -> Row:
    """Return the columns that say how far the iteration came."""
    return {
        "converged": float((residual <= tolerance).double().mean()),
        "residual": float(residual.max()),
        "iterations": int(iterations.max()),
    }


def _mean(name: str, values: Tensor, seed: int) -> Row:
    """Return a mean over images with its 95 % interval, and every image's value."""
    interval = bootstrap_mean(values.numpy(), seed=seed)
    return {
        name: interval.value,
        f"{name}_low": interval.low,
        f"{name}_high": interval.high,
        f"{name}_per_image": values.tolist(),
        "n": len(values),
    }
