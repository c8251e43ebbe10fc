"""What a backbone costs at full width: parameters, multiply-adds, NFE, checkpoint (Table 5)."""

import statistics
from collections.abc import Mapping, Sequence

from torch import nn

from bench.api import Cell, Context, Invalid, Kind, Outcome, Row, register
from bench.declared import declared
from bench.metrics.cost.files import checkpoint_mib, parameters, weights_mib
from bench.metrics.cost.ledger import Account, Books, keep_books
from bench.metrics.cost.operators import COMPARED, KINDS
from bench.metrics.cost.sound import (
    cost_of_inputs,
    extreme_inputs,
    is_adaptive,
    random_inputs,
)
from bench.metrics.cost.traced import FvcoreCount, fvcore_macs
from bench.tasks.networks import sound_network
from bench.tasks.properties import lacking

GIGA = 1e9
Shape = tuple[int, int, int, int]
TOLERANCE = 1e-3
"""Counters that count the same thing agree so well; a fraction of what they count."""
MANY = 8
"""Inputs that show how a cost depends on them."""


@register(Kind.TASK, "cost", source="Calvo-Ordonez et al. 2023, Table 5 and Figure 6")
def cost(cell: Cell, context: Context) -> Outcome:
    """Count one forward pass at batch 1 by three counters, every ODE evaluation included."""
    channels, size = cell.spec["channels"], cell.spec["image_size"]
    name = cell.spec["backbone"]["name"]
    network = sound_network(context, cell.spec["backbone"], channels=channels, image_size=size)
    shape = (1, channels, size, size)
    books, found, varies = _counted(network, shape, cell.spec.get("inputs", MANY))
    _refuse_unlisted(name, books.unlisted)
    count = parameters(network)
    row = {
        "parameters": count.total,
        "trained_parameters": count.trained,
        "frozen_parameters": count.frozen,
        "gmacs_authors": books.total.authors / GIGA,
        "gmacs_fvcore": None,
        "gmacs_torch": books.flops / 2 / GIGA,
        "gflops_torch": books.flops / GIGA,
        **_distribution(found, varies=varies),
        **_split(books.total),
        **(_NOT_TRACED if varies else _traced(name, network, shape, books)),
        "checkpoint_mib": checkpoint_mib(network),
        "weights_mib": weights_mib(network),
        "batch": 1,
        **_properties(name, network, shape),  # last: they change the network
    }
    return Outcome([row])


def _properties(name: str, network: nn.Module, shape: Shape) -> Row:
    """Return what a network lacks, and what of that it does not declare."""
    lacks = lacking(network, shape[1:])
    return {"lacks": lacks, "undeclared": sorted(set(lacks) - declared(Kind.BACKBONE, name))}


def _counted(
    network: nn.Module, shape: Shape, many: int
) -> tuple[Books, list[tuple[int, int]], bool]:
    """Return the books of one input, FLOPs and NFE of several, and whether the cost may vary."""
    inputs = random_inputs(many, shape)
    if not is_adaptive(network):
        tried = [*random_inputs(1, shape), *extreme_inputs(shape)]
        found = cost_of_inputs(network, tried[1:])
        books = keep_books(network, *tried[0])
        found.insert(0, (books.flops, books.nfe))
        if len(set(found)) == 1:
            return books, found, False
        inputs += tried
    found = cost_of_inputs(network, inputs)
    # The input of median cost stands for all.
    middle = sorted(range(len(found)), key=lambda n: found[n])[(len(found) - 1) // 2]
    return keep_books(network, *inputs[middle]), found, True


def _distribution(found: Sequence[tuple[int, int]], *, varies: bool) -> Row:
    """Return the NFE: a number, or where it depends on the data what it was for every input."""
    evaluations = [nfe for _, nfe in found]
    quartiles = statistics.quantiles(evaluations, n=4, method="inclusive") if varies else []
    return {
        "adaptive": varies,
        "nfe": None if varies and any(evaluations) else evaluations[0],
        "nfe_of_inputs": evaluations if varies else [],
        "nfe_quartiles": quartiles,
        "gmacs_torch_of_inputs": [flops / 2 / GIGA for flops, _ in found] if varies else [],
    }


def _split(total: Account) -> Row:
    """Return torch's count by kind, and the part of it that solving ODEs takes."""
    return {
        **{f"gmacs_torch_{kind}": macs / GIGA for kind, macs in _by_kind(total).items()},
        "gops_elementwise": total.elementwise / GIGA,
        "gmacs_torch_in_fields": total.in_fields / GIGA,
        "gmacs_torch_outside_fields": (total.macs - total.in_fields) / GIGA,
        "bytes_moved": total.bytes_moved,
        "activation_bytes": total.activation_bytes,
    }


_NOT_TRACED: Row = {
    **{f"gmacs_{who}_{kind}": None for who in ("fvcore", "layers") for kind in KINDS},
    "gmacs_fvcore_rest": None,
    "counters_gap": None,
    "counters_agree": None,
}
"""Where cost depends on the data there is no trace: it would hold for one input, and drop the
evaluations that an adaptive solver makes and does not use."""


def _traced(name: str, network: nn.Module, shape: Shape, books: Books) -> Row:
    """Return fvcore's count, the layers' closed forms, and how well they agree with torch's.

    A closed form covers its layer alone, so that it is held against what torch's counter says of
    that layer: a network may apply weights of its own without one.
    """
    traced = fvcore_macs(network, *random_inputs(1, shape)[0], checked=True)
    _refuse_unlisted(name, traced.unlisted)
    gap = max(
        counters_gap(_by_kind(traced), _by_kind(books.total)),
        counters_gap(books.layers.forms, books.layers.counted),
    )
    return {
        "gmacs_fvcore": traced.macs / GIGA,
        **{f"gmacs_fvcore_{kind}": macs / GIGA for kind, macs in _by_kind(traced).items()},
        "gmacs_fvcore_rest": traced.rest / GIGA,
        **{f"gmacs_layers_{kind}": books.layers.forms[kind] / GIGA for kind in KINDS},
        "counters_gap": gap,
        "counters_agree": gap <= TOLERANCE,
    }


def counters_gap(found: Mapping[str, int], other: Mapping[str, int]) -> float:
    """Return the largest difference of two counters over kinds, each as a fraction of its own.

    A kind that both found absent has no gap; one that only one of them saw has a gap of 1.
    """
    sums = [
        [sum(counter[kind] for kind in kinds) for kinds in COMPARED] for counter in (found, other)
    ]
    return max(abs(a - b) / max(a, b, 1) for a, b in zip(*sums, strict=True))


def _by_kind(counted: Account | FvcoreCount) -> dict[str, int]:
    return {kind: getattr(counted, kind) for kind in KINDS}


def _refuse_unlisted(name: str, operators: Sequence[str]) -> None:
    if operators:
        raise Invalid(
            f"'{name}' runs operators that no counter knows: {', '.join(operators)}; if they do no "
            "multiply-adds, list them as free in bench/metrics/cost/operators.py (library::name "
            "unless they are torch's own), else count them in ledger.py and traced.py beside it"
        )
