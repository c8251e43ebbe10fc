"""Saying before hours of work that this processor would only emulate their arithmetic."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bench.plan import Planned
    from bench.session import Session

TRAINING = ("train", "distil", "convergence")
"""The tasks that run the training loop."""


def emulation(session: "Session", *, fresh: bool = False) -> str:
    """Return a line on trainings in bfloat16 that are to do on a CPU without it; else nothing.

    Nothing is said of a cluster, whose nodes have processors of their own.
    """
    from bench.executor.local import Local

    if session.device != "cpu" or not isinstance(session.place, Local | None):
        return ""
    trained = {one.key for one in session.plan if _in_bfloat16(one)}
    to_do = trained & session.to_do(fresh=fresh) if trained else trained
    if not to_do:
        return ""
    from bench.metrics.trunk import has_bfloat16

    if has_bfloat16():
        return ""
    plural = "s" * (len(to_do) != 1)
    return (
        "note: this processor has no bfloat16 arithmetic, and emulates it many times slower "
        f"(about x14 on a CPU with AVX2 alone), in {len(to_do)} training{plural}; "
        "to train in its own: --set train.precision=float32"
    )


def _in_bfloat16(planned: "Planned") -> bool:
    from bench.shipped import CHECKPOINT

    spec = planned.cell.spec
    trains = planned.cell.task in TRAINING and CHECKPOINT not in spec
    return trains and spec["training"].get("precision") == "bfloat16"
