"""EfficientNet-Lite0: the small network whose weights a package index holds."""

from dataclasses import dataclass

from torch import Tensor, nn

from bench.metrics import trunk

WIDTH_STEM, WIDTH_HEAD = 32, 1280
EPSILON = 1e-3
"""Of batch norm, as in the TensorFlow original."""


@dataclass(frozen=True, slots=True)
class Stage:
    """Some blocks of one width; only the first changes width and resolution."""

    blocks: int
    kernel: int
    stride: int
    expand: int
    width: int


STAGES = (
    Stage(1, 3, 1, 1, 16),
    Stage(2, 3, 2, 6, 24),
    Stage(2, 5, 2, 6, 40),
    Stage(3, 3, 2, 6, 80),
    Stage(3, 5, 1, 6, 112),
    Stage(4, 5, 2, 6, 192),
    Stage(1, 3, 1, 6, 320),
)


class SameConv(nn.Conv2d):
    """A convolution that pads as TensorFlow's "SAME" does: the odd pixel goes right and below."""

    def forward(self, x: Tensor) -> Tensor:
        """Map [B,C,H,W] to [B,D,ceil(H / stride),ceil(W / stride)]."""
        (kernel, _), (stride, _) = self.kernel_size, self.stride
        pads: list[int] = []
        for side in (x.shape[-1], x.shape[-2]):
            whole = max((-(-side // stride) - 1) * stride + kernel - side, 0)
            pads += [whole // 2, whole - whole // 2]
        return super().forward(nn.functional.pad(x, pads))


class Block(nn.Module):
    """Widen, filter each channel, narrow; with a shortcut where nothing changes size."""

    def __init__(self, before: int, stage: Stage, stride: int):
        super().__init__()
        inner = before * stage.expand
        self.shortcut = stride == 1 and before == stage.width
        self.expands = stage.expand > 1
        if self.expands:
            self._expand_conv = nn.Conv2d(before, inner, 1, bias=False)
            self._bn0 = nn.BatchNorm2d(inner, EPSILON)
        self._depthwise_conv = SameConv(
            inner, inner, stage.kernel, stride=stride, groups=inner, bias=False
        )
        self._bn1 = nn.BatchNorm2d(inner, EPSILON)
        self._project_conv = nn.Conv2d(inner, stage.width, 1, bias=False)
        self._bn2 = nn.BatchNorm2d(stage.width, EPSILON)

    def forward(self, x: Tensor) -> Tensor:
        """Map [B,C,H,W] to the block's width."""
        y = x
        if self.expands:
            y = nn.functional.relu6(self._bn0(self._expand_conv(y)))
        y = nn.functional.relu6(self._bn1(self._depthwise_conv(y)))
        y = self._bn2(self._project_conv(y))
        return x + y if self.shortcut else y


class EfficientNetLite0(nn.Module):
    """The network up to its 1,280 averaged features; frozen, in evaluation mode.

    Source: Tan, Le 2019, table 1, in the "Lite" form of the TPU team's release of 2020: no squeeze
        and excitation, ReLU6 in place of Swish, stem and head never scaled.

    Args:
        tensors: Named as published; the classifier is left aside.
        precision: "float32" or "bfloat16".
    """

    def __init__(self, tensors: dict[str, Tensor] | None, precision: str = "float32"):
        super().__init__()
        self._conv_stem = SameConv(3, WIDTH_STEM, 3, stride=2, bias=False)
        self._bn0 = nn.BatchNorm2d(WIDTH_STEM, EPSILON)
        blocks, before = [], WIDTH_STEM
        for stage in STAGES:
            for index in range(stage.blocks):
                blocks.append(Block(before, stage, 1 if index else stage.stride))
                before = stage.width
        self._blocks = nn.ModuleList(blocks)
        self._conv_head = nn.Conv2d(before, WIDTH_HEAD, 1, bias=False)
        self._bn1 = nn.BatchNorm2d(WIDTH_HEAD, EPSILON)
        if tensors is not None:
            wanted = {k: v for k, v in tensors.items() if not k.startswith("_fc.")}
            trunk.load(self, wanted, "efficientnet-lite0")
        trunk.frozen(self, precision)

    def forward(self, x: Tensor) -> Tensor:
        """Map normalised images [B,3,224,224] to features [B,1280]."""
        x = nn.functional.relu6(self._bn0(self._conv_stem(x)))
        for block in self._blocks:
            x = block(x)
        x = nn.functional.relu6(self._bn1(self._conv_head(x)))
        return trunk.mean_of(x)
