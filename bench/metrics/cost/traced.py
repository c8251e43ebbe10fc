"""fvcore's counter, completed: attention counts, and nothing is left out silently."""

import logging
import math
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from bench.api import Missing
from bench.metrics.cost.run import counting, run_once

FREE = frozenset(
    f"aten::{name}"
    for name in (
        # element by element
        "abs add add_ addcmul addcmul_ clamp clamp_ clamp_min cos div div_ elu erf exp expm1 gelu "
        "hardtanh leaky_relu leaky_relu_ log log1p maximum minimum mul mul_ neg pow prelu "
        "reciprocal relu relu_ rsqrt rsub sigmoid sign silu silu_ sin softplus sqrt square sub "
        "sub_ tanh where threshold lerp lt le gt ge eq ne logical_and logical_not bitwise_not "
        # reductions, softmax, pooling
        "amax amin avg_pool2d cumsum cumprod frobenius_norm linalg_norm linalg_vector_norm max "
        "max_pool2d mean min norm prod softmax _softmax log_softmax sum var var_mean std argmax "
        "any all count_nonzero "
        # moving data about
        "cat stack embedding index index_select gather repeat repeat_interleave expand_as roll "
        "pad constant_pad_nd reflection_pad2d replication_pad2d pixel_shuffle pixel_unshuffle "
        "flip copy_ clone fill_ masked_fill masked_fill_ one_hot unfold im2col col2im "
        "meshgrid tile movedim "
        # making numbers
        "arange linspace full full_like ones ones_like zeros zeros_like empty empty_like new_zeros "
        "new_ones new_full rand_like randn_like randn rand normal scalar_tensor "
        "dropout feature_dropout alias lift_fresh numpy_T mT "
        "floor floor_divide floordiv remainder round ceil trunc isfinite isnan tensor "
        "broadcast_tensors item"
    ).split()
)
"""Operators that cost no multiply-adds by fvcore's convention, beyond those that it knows."""


@dataclass(frozen=True, slots=True)
class FvcoreCount:
    """What fvcore counted."""

    macs: int
    """fvcore calls them FLOPs, but counts one per multiply-add."""
    unlisted: tuple[str, ...]
    """Operators that are neither counted nor known to be free: where not empty, the count is too
    low."""


def fvcore_macs(module: nn.Module, *inputs: torch.Tensor) -> FvcoreCount:
    """Return the multiply-adds of one traced forward pass.

    Tracing drops evaluations whose result is not used, so that an adaptive ODE solver is counted
    one evaluation short; fixed-step solvers are exact.

    Raises:
        Invalid: If the network fails or changes the shape of its input.
        Missing: If fvcore cannot be imported.
    """
    run_once(module, inputs)
    with warnings.catch_warnings(), _quiet("torch.jit._trace"):
        warnings.simplefilter("ignore")
        analyse = _analysis_class()
        with counting(module, inputs):
            analysis = (
                analyse(module, inputs)
                .set_op_handle(**HANDLES)
                .set_op_handle(**dict.fromkeys(FREE))
                .unsupported_ops_warnings(False)
                .uncalled_modules_warnings(False)
                .tracer_warnings("none")
            )
            macs = int(analysis.total())
    return FvcoreCount(macs, tuple(sorted(analysis.unsupported_ops())))


def _analysis_class() -> type:
    """Import fvcore, which is slow and warns: only here, and only when asked for."""
    try:
        from fvcore.nn import FlopCountAnalysis
    except ImportError as error:
        raise Missing(
            f"fvcore cannot be imported ({error}); install with: pip install fvcore"
        ) from error
    return FlopCountAnalysis


@contextmanager
def _quiet(name: str) -> Iterator[None]:
    """Let a logger pass errors only."""
    logger = logging.getLogger(name)
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


def _shape(value: Any) -> list[int]:
    return value.type().sizes()


def _attention(inputs: list[Any], outputs: list[Any]) -> int:
    """Return the cost of both products, q k^T and (weights) v."""
    *batch, queries, width = _shape(inputs[0])
    keys, value_width = _shape(inputs[2])[-2:]
    return math.prod(batch) * queries * keys * (width + value_width)


def _batched_product(inputs: list[Any], outputs: list[Any]) -> int:
    """Return the cost of the product in `baddbmm`; the added term is free."""
    *batch, rows, inner = _shape(inputs[1])
    return math.prod(batch) * rows * inner * _shape(inputs[2])[-1]


HANDLES: dict[str, Callable[[list[Any], list[Any]], int]] = {
    "aten::scaled_dot_product_attention": _attention,
    "aten::baddbmm": _batched_product,
}
