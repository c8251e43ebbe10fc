"""What a training step keeps in memory, by solver steps, with the adjoint and without it."""

from bench.api import Cell, Context, Kind, Outcome, Skip, register
from bench.metrics.cost.sides import evaluations
from bench.metrics.cost.training import MIB, kept_for_training, with_solver
from bench.tasks.networks import one_input, sound_network


@register(
    Kind.TASK,
    "training_memory",
    source="Chen et al. 2018, section 2: the adjoint's memory does not grow with the steps",
)
def training_memory(cell: Cell, context: Context) -> Outcome:
    """Measure what autograd keeps for one training step; bytes, hence the same everywhere."""
    spec = cell.spec
    size = {"channels": spec["channels"], "image_size": spec["image_size"]}
    inputs = one_input(*size.values(), batch=spec["batch"])
    network = sound_network(context, spec["backbone"], **size)
    if getattr(network, "integrator", None) is None:
        raise Skip(f"'{spec['backbone']['name']}' solves no ODE, so there is nothing to compare")
    rows, cases = [], [(a, n) for a in (False, True) for n in spec["solver_steps"]]
    for done, (adjoint, steps) in enumerate(cases):
        context.progress(done, len(cases))
        with_solver(network, steps=steps, adjoint=adjoint)
        kept = kept_for_training(network, *inputs)
        rows.append(
            {
                "adjoint": adjoint,
                "solver_steps": steps,
                "nfe": evaluations(network, *inputs),
                "saved_mib": kept.peak_bytes / MIB,
                "saved_forward_mib": kept.forward_bytes / MIB,
            }
        )
    return Outcome(rows)
