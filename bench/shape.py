"""What a network of images returns: a tensor of the shape of its input."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from bench.errors import Invalid

if TYPE_CHECKING:
    import torch


def image_to_image(network: Callable[..., Any], x: "torch.Tensor", *others: Any) -> "torch.Tensor":
    """Call a network on x [B,C,H,W] and what else it takes; return its output.

    Raises:
        Invalid: If that is no tensor of x's shape; one that can be broadcast would go unseen.
    """
    expected = list(x.shape)  # before the call, which may change x in place
    output = network(x, *others)
    is_tensor = isinstance(output, type(x))  # asked without torch, which the seam does without
    found = list(output.shape) if is_tensor else type(output).__name__
    if found != expected:
        raise Invalid(
            f"{type(network).__name__} returned {found} for an input of {expected}, expected "
            "the same shape"
        )
    return output
