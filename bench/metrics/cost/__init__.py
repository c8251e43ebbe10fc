"""What a network costs: parameters, multiply-adds by three counters, size of its files.

One multiply-add (MAC) is two FLOPs. The three counters disagree by their rules, not by mistake;
on convolutions, linear layers and matrix products the last two agree to the integer:

- `authors_macs`: layers only, what the paper's Table 5 holds;
- `fvcore_macs`: traced operators, with attention and normalisation;
- `torch_flops`: FLOPs of every matrix product and convolution that really runs.

`ledger.keep_books` enters the last, and the first, part by part as operators run.
"""

from bench.metrics.cost.authors import authors_macs
from bench.metrics.cost.files import (
    Parameters,
    checkpoint_mib,
    parameters,
    weights_mib,
)
from bench.metrics.cost.run import torch_flops
from bench.metrics.cost.traced import FvcoreCount, fvcore_macs

__all__ = [
    "FvcoreCount",
    "Parameters",
    "authors_macs",
    "checkpoint_mib",
    "fvcore_macs",
    "parameters",
    "torch_flops",
    "weights_mib",
]
