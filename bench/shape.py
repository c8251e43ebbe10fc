"""What networks return: an image of the shape of their input, left as it was, or one loss."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from bench.errors import Invalid

if TYPE_CHECKING:
    import torch


def image_to_image(network: Callable[..., Any], x: "torch.Tensor", *others: Any) -> "torch.Tensor":
    """Call a network on x [B,C,H,W] and what else it takes; return its output.

    Raises:
        Invalid: If that is no tensor of x's shape (one that can be broadcast would go unseen), or
            of a wider type than x.
    """
    name = type(network).__name__
    expected = list(x.shape)  # before the call, which may change x in place
    output = network(x, *others)
    is_tensor = isinstance(output, type(x))  # asked without torch, which the seam does without
    found = list(output.shape) if is_tensor else type(output).__name__
    if found != expected:
        raise Invalid(
            f"{name} returned {found} for an input of {expected}, expected the same shape"
        )
    if not output.is_floating_point() or output.element_size() > x.element_size():
        raise Invalid(
            f"{name} returned {output.dtype} for an input of {x.dtype}, expected the same type"
        )
    return output


def untouched(network: Callable[..., Any], x: "torch.Tensor", *others: Any) -> "torch.Tensor":
    """Call a network as `image_to_image` does; x is as it was, for whoever goes on with it.

    Raises:
        Invalid: As there, and if the network changes x.
    """
    version = _version(x)
    output = image_to_image(network, x, *others)
    if _version(x) != version:
        raise Invalid(
            f"{type(network).__name__} changed its input number 1 in place, which is still needed; "
            "let it work on a copy (`inplace=True` of a first layer changes it)"
        )
    return output


def _version(x: "torch.Tensor") -> int | None:
    """Return how often a tensor was changed in place; None where torch does not count."""
    return None if x.is_inference() else x._version


def loss_of(module: Any, batch: "torch.Tensor", rng: "torch.Generator") -> "torch.Tensor":
    """Return the loss of a batch, which is one number that depends on the parameters.

    Raises:
        Invalid: If it is anything else.
    """
    loss = module.loss(batch, rng)
    name, is_tensor = type(module).__name__, isinstance(loss, type(batch))
    if not is_tensor or loss.numel() != 1:
        found = list(loss.shape) if is_tensor else type(loss).__name__
        raise Invalid(f"{name}.loss returned {found}, expected a tensor of one number")
    if not loss.requires_grad:
        raise Invalid(f"{name}.loss does not depend on any of its parameters, expected it to")
    return loss
