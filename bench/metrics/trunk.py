"""What pretrained trunks share: how images reach them, and the arithmetic they compute in."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from bench.api import BenchError, Invalid

SMALLEST = 64
"""LPIPS' authors advise 64 pixels; AlexNet needs 31 and VGG16 needs 16."""
ENLARGED = f"bilinear-{SMALLEST}"
PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16}
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of ImageNet's colours in [0, 1]; torchvision's networks were trained on the difference."""


# ------------------------------------------------------------------ images


def three_channels(images: Tensor, name: str) -> Tensor:
    """Return images [B,1|3,H,W] with three channels; grey is repeated.

    Raises:
        Invalid: If there are neither one nor three.
    """
    if images.shape[1] not in (1, 3):
        raise Invalid(f"{name}: images with {images.shape[1]} channels, expected 1 or 3")
    return images.expand(-1, 3, -1, -1)


def resize_of(images: Tensor) -> str:
    """Return what `enlarged` does to images of this size: "none" or "bilinear-64"."""
    return ENLARGED if min(images.shape[-2:]) < SMALLEST else "none"


def enlarged(images: Tensor) -> Tensor:
    """Return images [B,C,H,W] without a side below 64: bilinear, half-pixel, aspect ratio kept."""
    if resize_of(images) == "none":
        return images
    shortest = min(images.shape[-2:])
    size = [round(side * SMALLEST / shortest) for side in images.shape[-2:]]
    return nn.functional.interpolate(images, size=size, mode="bilinear", align_corners=False)


def squared(images: Tensor, side: int, *, antialias: bool = True) -> Tensor:
    """Return images [B,C,side,side]: bilinear on the half-pixel grid, whatever the aspect ratio.

    Args:
        images: [B,C,H,W].
        side: Wanted height and width.
        antialias: Whether a smaller image averages all the pixels that it covers; without it most
            are skipped. It changes nothing where images grow.
    """
    if images.shape[-2:] == (side, side):
        return images
    return nn.functional.interpolate(
        images, size=(side, side), mode="bilinear", align_corners=False, antialias=antialias
    )


# ------------------------------------------------------------------ networks


def load(module: nn.Module, tensors: Mapping[str, Tensor], name: str) -> None:
    """Copy tensors into a module of exactly these names and shapes.

    Raises:
        BenchError: If a name or a shape differs.
    """
    try:
        missing, unknown = module.load_state_dict(dict(tensors), strict=False)
    except RuntimeError as error:  # a shape
        reason = " ".join(str(error).split())[-200:]
        raise BenchError(f"the weights '{name}' belong to another network: {reason}") from error
    lacking = [key for key in missing if not key.endswith("num_batches_tracked")]
    if lacking or unknown:
        raise BenchError(
            f"the weights '{name}' belong to another network: {len(lacking)} tensors are missing "
            f"and {len(unknown)} unknown, the first is {[*lacking, *unknown][0]}"
        )


def has_bfloat16() -> bool:
    """Return whether this processor, or the GPU, multiplies bfloat16 numbers itself."""
    found = getattr(torch.cpu, "get_capabilities", dict)()
    on_cpu = any(found.get(part) for part in ("avx512_bf16", "amx_bf16"))
    return on_cpu or (torch.cuda.is_available() and torch.cuda.is_bf16_supported())


def frozen(module: nn.Module, precision: str = "float32") -> nn.Module:
    """Return a network in evaluation mode, without gradients, in some arithmetic.

    Raises:
        BenchError: If the arithmetic is unknown, or this machine would only emulate it.
    """
    if precision not in PRECISIONS:
        known = ", ".join(PRECISIONS)
        raise BenchError(f"no precision named '{precision}'; expected one of {known}")
    if precision == "bfloat16" and not has_bfloat16():
        raise BenchError("this processor has no bfloat16 arithmetic; choose precision = float32")
    module.to(PRECISIONS[precision]).eval().requires_grad_(False)
    # Channels beside each other: 11 to 27 % faster on a processor with AVX-512.
    return module.to(memory_format=torch.channels_last)


class Pooled(nn.Module):
    """A trunk's last feature map, averaged over pixels."""

    def __init__(self, trunk: nn.Module):
        super().__init__()
        self.trunk = trunk

    def forward(self, x: Tensor) -> Tensor:
        """Map normalised images [B,3,H,W] to [B,C]."""
        return mean_of(self.trunk(x)[-1])


def mean_of(x: Tensor) -> Tensor:
    """Return the mean over pixels [B,C] of a feature map [B,C,H,W], not coarser than float32."""
    return x.to(torch.promote_types(x.dtype, torch.float32)).mean(dim=(2, 3))


class Features(nn.Module):
    """A pretrained network that maps normalised images to feature vectors, in some arithmetic.

    What derives from it sets `name`, `dimension`, `weights_sha` and `resize`, and gives `resized`.
    """

    name: str
    precision: str

    def __init__(self, trunk: nn.Module, mean: tuple[float, ...], std: tuple[float, ...]):
        super().__init__()
        self.trunk = trunk
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1), persistent=False)

    def resized(self, images: Tensor) -> Tensor:
        """Return images [B,3,H,W] in the size that the network takes."""
        return enlarged(images)

    @torch.no_grad()
    def vectors(self, images: Tensor) -> Tensor:
        """Map checked images [B,1|3,H,W] in [0, 1] to what the trunk makes of them, [B,D]."""
        images = three_channels(images.to(self.mean.dtype), self.name)
        # While they are small and plane after plane, where it takes a tenth of the time; a resize
        # commutes with it, since its weights sum to 1.
        images = (images - self.mean).div_(self.std)
        images = images.contiguous(memory_format=torch.channels_last)  # enlarging is faster in it
        images = self.resized(images)
        kind = next(self.trunk.parameters()).dtype
        images = images.to(kind, memory_format=torch.channels_last)
        return self.trunk(images).to(self.mean.dtype)
