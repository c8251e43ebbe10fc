"""fvcore's counter, completed: attention counts, and nothing is left out silently."""

import logging
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.autograd.function import Function, FunctionCtx

from bench.api import Missing
from bench.metrics.cost.operators import (
    CONVOLUTION,
    COUNTED_BY_FVCORE,
    FREE,
    KINDS,
    LINEAR,
    PRODUCT,
    SMALL,
    full_names,
)
from bench.metrics.cost.products import attention_macs, einsum_macs, matmul_macs
from bench.metrics.cost.run import counting, run_once

KIND_OF = {
    **dict.fromkeys(("conv", "_convolution"), CONVOLUTION),
    **dict.fromkeys(("linear", "addmm"), LINEAR),
    **dict.fromkeys(
        ("matmul", "mm", "bmm", "baddbmm", "einsum", "scaled_dot_product_attention"), PRODUCT
    ),
}
"""The names by which fvcore sums up; all others are normalisation, resizing and pooling."""


@dataclass(frozen=True, slots=True)
class FvcoreCount:
    """What fvcore counted."""

    macs: int
    """fvcore calls them FLOPs, but counts one per multiply-add."""
    unlisted: tuple[str, ...]
    """Operators that are neither counted nor known to be free: where not empty, the count is too
    low."""
    convolution: int = 0
    linear: int = 0
    """Linear layers."""
    product: int = 0
    """All other matrix products, those of attention among them."""

    @property
    def rest(self) -> int:
        """What fvcore counts beyond multiply-adds: normalisation, resizing, pooling."""
        return self.macs - self.convolution - self.linear - self.product


def fvcore_macs(module: nn.Module, *inputs: torch.Tensor, checked: bool = False) -> FvcoreCount:
    """Return the multiply-adds of one traced forward pass.

    Tracing drops evaluations whose result is not used, so that an adaptive ODE solver is counted
    one evaluation short; fixed-step solvers are exact. A `torch.autograd.Function` costs what runs
    inside its forward pass.

    Args:
        module: The network.
        inputs: What it is called with.
        checked: Whether it is known to run and to keep the shape of its input.

    Raises:
        Invalid: If the network fails or changes the shape of its input.
        Missing: If fvcore cannot be imported.
    """
    if not checked:
        run_once(module, inputs)
    with warnings.catch_warnings(), _quiet("torch.jit._trace"):
        warnings.simplefilter("ignore")
        analyse = _analysis_class()
        with counting(module, inputs), _functions_opened():
            analysis = (
                analyse(module, inputs)
                .set_op_handle(**HANDLES)
                .set_op_handle(**dict.fromkeys(full_names(FREE | SMALL - COUNTED_BY_FVCORE)))
                .unsupported_ops_warnings(False)
                .uncalled_modules_warnings(False)
                .tracer_warnings("none")
            )
            counted = analysis.by_operator()
    kinds: Counter[str] = Counter()
    for name, macs in counted.items():
        kinds[KIND_OF.get(name, "")] += int(macs)
    return FvcoreCount(
        sum(kinds.values()),
        tuple(sorted(analysis.unsupported_ops())),
        **{kind: kinds[kind] for kind in KINDS},
    )


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


@contextmanager
def _functions_opened() -> Iterator[None]:
    """Let the tracer see into `torch.autograd.Function`s, which it takes for one operator each."""
    whole = Function.__dict__["apply"]
    Function.apply = classmethod(_forward)
    try:
        yield
    finally:
        Function.apply = whole


def _forward(function: type[Function], *args: Any) -> Any:
    """Run what a function does forwards, without a gradient."""
    if function.setup_context is not Function.setup_context:
        return function.forward(*args)
    context = FunctionCtx()
    context.needs_input_grad = (False,) * len(args)
    return function.forward(context, *args)


def _shape(value: Any) -> list[int]:
    return value.type().sizes()


def _attention(inputs: list[Any], outputs: list[Any]) -> int:
    return attention_macs(_shape(inputs[0]), _shape(inputs[2]), _shape(outputs[0]))


def _added(inputs: list[Any], outputs: list[Any]) -> int:
    """Return the cost of the product in `baddbmm`; the added term is free."""
    return matmul_macs(_shape(inputs[1]), _shape(outputs[0]))


def _matmul(inputs: list[Any], outputs: list[Any]) -> int:
    return matmul_macs(_shape(inputs[0]), _shape(outputs[0]))


def _einsum(inputs: list[Any], outputs: list[Any]) -> int:
    shapes = [_shape(each) for each in inputs[1].node().inputs()]
    return einsum_macs(inputs[0].toIValue(), shapes, inputs[2].toIValue())


HANDLES: dict[str, Callable[[list[Any], list[Any]], int]] = {
    "aten::scaled_dot_product_attention": _attention,
    "aten::baddbmm": _added,
    "aten::matmul": _matmul,
    "aten::einsum": _einsum,
}
"""What fvcore lacks, and what it counts wrongly: broadcast and elementwise products."""
