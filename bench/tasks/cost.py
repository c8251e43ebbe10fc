"""What a backbone costs at full width: parameters, multiply-adds, NFE, checkpoint (Table 5)."""

import torch

from bench.api import Cell, Context, Kind, Outcome, register
from bench.metrics.cost.authors import authors_macs
from bench.metrics.cost.files import checkpoint_mib, parameters, weights_mib
from bench.metrics.cost.run import torch_flops
from bench.metrics.cost.traced import fvcore_macs


@register(Kind.TASK, "cost", source="Calvo-Ordonez et al. 2023, Table 5 and Figure 6")
def cost(cell: Cell, context: Context) -> Outcome:
    """Count one forward pass at batch 1 by three counters, every ODE evaluation included."""
    channels, size = cell.spec["channels"], cell.spec["image_size"]
    torch.manual_seed(0)
    spec = {**cell.spec["backbone"], "channels": channels, "image_size": size}
    network = context.build(Kind.BACKBONE, spec).eval()
    inputs = torch.randn(1, channels, size, size), torch.full((1,), 500.0)
    count = parameters(network)
    traced = fvcore_macs(network, *inputs)
    flops = torch_flops(network, *inputs)
    row = {
        "parameters": count.total,
        "trained_parameters": count.trained,
        "frozen_parameters": count.frozen,
        "gmacs_authors": authors_macs(network, *inputs) / 1e9,
        "gmacs_fvcore": traced.macs / 1e9,
        "gmacs_torch": flops / 2e9,
        "gflops_torch": flops / 1e9,
        "operators_not_counted": sorted(traced.unlisted),
        "nfe": evaluations(network, inputs),
        "checkpoint_mib": checkpoint_mib(network),
        "weights_mib": weights_mib(network),
        "batch": 1,
    }
    return Outcome([row])


@torch.inference_mode()
def evaluations(network: torch.nn.Module, inputs: tuple[torch.Tensor, torch.Tensor]) -> int:
    """Return how often one forward pass evaluates ODE fields; 0 for a discrete network."""
    trace = getattr(network, "trace", None)
    return trace(*inputs).nfe if trace else 0
