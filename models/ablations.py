"""The paper's ablations of the continuous U-Net, and the clean one that it lacks."""

from bench.api import Kind, register
from models.continuous import ContinuousUNet
from models.cunet import cunet


@register(Kind.BACKBONE, "cunet-no-attention", source="Table 5, row wo/A")
def no_attention(*, channels: int = 3, image_size: int = 64, scale: float = 1.0) -> ContinuousUNet:
    """Return `cunet` without its two attentions; 8,624,051 parameters."""
    return cunet(channels=channels, image_size=image_size, scale=scale, attention=False)


@register(
    Kind.BACKBONE,
    "cunet-no-residual",
    source="Table 5, row wo/R",
    note="Confounded: also shrinks a convolution and moves time out of the field.",
)
def no_residual(*, channels: int = 3, image_size: int = 64, scale: float = 1.0) -> ContinuousUNet:
    """Return the paper's "no resblocks"; 6,106,995 parameters."""
    return cunet(channels=channels, image_size=image_size, scale=scale, residual=False)


@register(
    Kind.BACKBONE,
    "cunet-no-attention-no-residual",
    source="Table 5, row wo/A/R",
    note="Confounded: also shrinks a convolution and moves time out of the field.",
)
def no_attention_no_residual(
    *, channels: int = 3, image_size: int = 64, scale: float = 1.0
) -> ContinuousUNet:
    """Return the paper's network without both; 5,843,827 parameters."""
    return cunet(
        channels=channels, image_size=image_size, scale=scale, attention=False, residual=False
    )


@register(Kind.BACKBONE, "cunet-no-skip", source="ours: only the `y +` of the field is removed")
def no_skip(*, channels: int = 3, image_size: int = 64, scale: float = 1.0) -> ContinuousUNet:
    """Return `cunet` with dv/ds = conv(h) in place of conv(y + h), nothing else changed."""
    return cunet(channels=channels, image_size=image_size, scale=scale, skip=False)


@register(Kind.BACKBONE, "cunet-softplus", source="the nonlinearity of the paper's released code")
def softplus(*, channels: int = 3, image_size: int = 64, scale: float = 1.0) -> ContinuousUNet:
    """Return `cunet` with softplus throughout."""
    return cunet(channels=channels, image_size=image_size, scale=scale, activation="softplus")


@register(Kind.BACKBONE, "cunet-silu", source="the nonlinearity that is usual in U-Nets")
def silu(*, channels: int = 3, image_size: int = 64, scale: float = 1.0) -> ContinuousUNet:
    """Return `cunet` with SiLU throughout."""
    return cunet(channels=channels, image_size=image_size, scale=scale, activation="silu")


@register(Kind.BACKBONE, "cunet-relu", source="the nonlinearity that the paper's Section 3.1 names")
def relu(*, channels: int = 3, image_size: int = 64, scale: float = 1.0) -> ContinuousUNet:
    """Return `cunet` with ReLU throughout."""
    return cunet(channels=channels, image_size=image_size, scale=scale, activation="relu")
