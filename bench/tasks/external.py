"""A set of pictures that somebody else made, in the form in which generated sets are kept."""

import numpy as np
import torch
from safetensors.torch import save_file

from bench.api import BenchError, Cell, Context, Invalid, Kind, Outcome, register
from bench.batches import chosen
from bench.score.samples import Wanted, load
from bench.tasks.sample import SAMPLES


@register(Kind.TASK, "external", source="the pictures of whoever runs it")
def external(cell: Cell, context: Context) -> Outcome:
    """Read the set, check that it is the one that was looked at, and keep `n` of its pictures."""
    try:
        images, done = load(Wanted.of(cell.spec["samples"]))
    except BenchError as fault:
        if fault.exit_code != BenchError.exit_code or _may_pass(fault):
            raise
        raise Invalid(str(fault)) from fault  # the pictures' fault: to try again changes nothing
    count, n = len(images), cell.spec["n"]
    if len(images) > n:
        images = chosen(images, n)
    path = context.folder / SAMPLES
    save_file({"images": torch.from_numpy(np.array(images, copy=True, order="C"))}, path)
    row = {
        "n_generated": len(images),
        "n_found": count,
        "n_distinct": len({image.tobytes() for image in images}),
        "done": "; ".join(done) or "nothing",
    }
    return Outcome([row], {SAMPLES: path})


def _may_pass(fault: BaseException) -> bool:
    """Return whether a fault comes from the machine - its disk, its memory - and not the pictures.

    An error of the system has a number; what a decoder raises under the same name has none.
    """
    cause = fault.__cause__
    while cause is not None:
        if isinstance(cause, MemoryError) or (isinstance(cause, OSError) and cause.errno):
            return True
        cause = cause.__cause__
    return False
